"""An agent's PIN: asked once per session, changed by typing the new one twice; and the lesser things an agent may want.

What is typed at a PIN step goes to its deed and nowhere else: not into params, not on a screen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels.ussd.menu.engine import HOME, WRONG_CHOICE, Act, Again, Context, Go, Plain, Said, Step
from channels.ussd.menu.screen import BACK_KEY, Choice, Line, Screen, line
from channels.ussd.menu.states.agent_words import PIN_ASKED, refusal, role, told_no, wait
from core.agents.rules import PIN_MAX, PIN_MIN
from core.i18n import N_

# What has to be read before these are shown; the others begin by asking.
LOOKED_UP = frozenset({"agent.float", "agent.sales", "agent.cash"})


def to(ctx: Context, then: str) -> Step:
    """On to a screen behind the PIN: by way of the PIN, or straight on where it was right in this session."""
    if ctx.agent is None:
        return Go("agent.pin", {"then": then})
    if then in LOOKED_UP:
        return Act("agent.look", then, {"agent": ctx.agent.agent_id, "then": then})
    return Go(then)


class _Typed(Plain):
    """A PIN is typed here."""

    secret = True

    def typed(self, said: Said) -> Step | None:
        """Where something that is no PIN leads; None for one."""
        if said.text == BACK_KEY:
            return Go(HOME)
        if not (said.text.isascii() and said.text.isdecimal() and PIN_MIN <= len(said.text) <= PIN_MAX):
            return Again(line(PIN_ASKED))
        return None


class Pin(_Typed):
    """`then`: the state the PIN opens. A wrong one counts for the agent, in whatever session it is typed."""

    key = "agent.pin"
    help = N_("Type your agent PIN. Forgotten? Your agency can give you a new one.")

    def show(self, ctx: Context) -> Screen:
        asked = line(N_("Your agent PIN?"))
        tried = ctx.params.get("did", {})
        if tried.get("refused") == "pin_locked":
            sentence = N_("Too many wrong PINs. Wait {time}, or ask your agency for a new PIN.")
            return Screen((line(sentence, time=wait(int(tried["wait"]))),), ended=True)
        if tried.get("refused") == "pin_wrong":
            return Screen((_wrong(int(tried["tries"]), int(tried["wait"])), asked))
        if tried.get("refused") == "pin_too_soon":
            # Nothing about what was typed: it may have been the right one.
            sentence = N_("Wait {time} before you try again. Tries left: {count}.")
            return Screen((line(sentence, time=wait(int(tried["wait"])), count=str(tried["tries"])), asked))
        return Screen((asked,))

    def answer(self, ctx: Context, said: Said) -> Step:
        then = str(ctx.params["then"])
        params = {"then": then}
        return self.typed(said) or Act("agent.enter", then, params, params, pin=said.text, forget=True)


class NewPin(_Typed):
    """Another PIN, for the first time. Where the office made the old one, nothing else is opened before."""

    key = "agent.new_pin"

    def show(self, ctx: Context) -> Screen:
        asked = line(N_("New PIN, 4 to 6 digits?"))
        before = ctx.params.get("did", {})
        if before.get("must"):
            return Screen((line(N_("Choose a PIN of your own first.")), asked))
        why = refusal(ctx) if before else None
        return Screen((asked,) if why is None else (why, asked))

    def answer(self, ctx: Context, said: Said) -> Step:
        whose = _whose(ctx)
        step = Act("agent.new_pin", "agent.repeat_pin", whose, whose, pin=said.text, forget=True)
        return self.typed(said) or step


class RepeatPin(_Typed):
    """The same again, so that a slip of the thumb locks nobody out."""

    key = "agent.repeat_pin"

    def show(self, ctx: Context) -> Screen:
        return Screen((line(N_("Type the new PIN once more.")),))

    def answer(self, ctx: Context, said: Said) -> Step:
        whose = _whose(ctx)
        step = Act("agent.repeat_pin", "agent.pin_changed", whose, whose, pin=said.text, forget=True)
        return self.typed(said) or step


class PinChanged(Plain):
    """END, or why not."""

    key = "agent.pin_changed"

    def show(self, ctx: Context) -> Screen:
        return told_no(ctx) or Screen((line(N_("Your PIN is changed. Dial again to go on.")),), ended=True)

    def answer(self, ctx: Context, said: Said) -> Step:
        return Again(line(WRONG_CHOICE))


class More(Plain):
    """What needs no PIN, and the change of the PIN, which always asks for the old one first."""

    key = "agent.more"
    _CHOICES = (
        Choice("own", line(N_("My own account"))),
        Choice("pin", line(N_("Change PIN"))),
        Choice("language", line(N_("Language"))),
        Choice("agencies", line(N_("Agencies"))),
        Choice("help", line(N_("Help"))),
    )
    _GOES: Mapping[str, Step] = {
        "own": Go("home.own"),
        "pin": Go("agent.pin", {"then": "agent.new_pin"}),
        "language": Go("language"),
        "agencies": Go("agencies"),
        "help": Go("help"),
    }

    def show(self, ctx: Context) -> Screen:
        return Screen((), self._CHOICES)

    def answer(self, ctx: Context, said: Said) -> Step:
        return self._GOES.get(said.choice or "", Again(line(WRONG_CHOICE)))


def _wrong(tries: int, wait_s: int) -> Line:
    if wait_s:
        sentence = N_("Wrong PIN. Wait {time} before you try again. Tries left: {count}.")
        return line(sentence, time=wait(wait_s), count=str(tries))
    return line(N_("Wrong PIN. Tries left: {count}."), count=str(tries))


def _whose(ctx: Context) -> dict[str, Any]:
    """Whose PIN is being changed: who has entered, or who would have if the office had not made the PIN; and which PIN
    opened it: one that was made anew meanwhile is not changed from here."""
    params, came = ctx.params, ctx.params.get("did", {})
    given = params.get("agent") or came.get("agent")
    entry = params.get("entry") or came.get("entry") or ""
    return {"agent": int(given) if given else role(ctx).agent_id, "entry": str(entry)}


PIN_STATES = (Pin(), NewPin(), RepeatPin(), PinChanged(), More())
