"""Words that all screens of agents share: every refusal as a sentence, waits, and who has entered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels.ussd.menu.engine import Context, Gone, Plain
from channels.ussd.menu.screen import Choice, Line, Screen, line
from core.agents.model import AgentRole
from core.i18n import N_
from core.kernel.money import Money

YES = Choice("yes", line(N_("Yes")), "1")
BAD_AMOUNT = N_("Type a whole amount, digits only.")
PIN_ASKED = N_("A PIN has 4 to 6 digits.")

# Every refusal of `core.agents.errors` that an agent can meet on the phone. `_OTHER` stands for what only the office
# meets, and for a key that belongs to something else.
REFUSALS: Mapping[str, str] = {
    "not_active": N_("This agent number is not active. Ask your agency."),
    "pin_must_change": N_("Change your PIN first: the office made it."),
    "pin_weak": N_("This PIN is too easy to guess. Choose another."),
    "pin_same": N_("This is your old PIN. Choose another."),
    "pin_differs": N_("The two PINs were not the same. Nothing was changed."),
    "account_unknown": N_("There is no such account."),
    "account_closed": N_("This account is closed."),
    "currency_differs": N_("This account pays in another currency than your float."),
    "amount_not_whole": BAD_AMOUNT,
    "below_limit": N_("The smallest sale is {amount}."),
    "above_limit": N_("Too much at once: {amount} at most."),
    "day_limit": N_("Your limit for today: {amount} left to sell."),
    "sim_hold": N_("New SIM: sales from {amount} on must wait {time}."),
    "float_short": N_("Not enough float: {amount} left to sell."),
    "sold_just_now": N_("You sold {amount} to this account a moment ago."),
    "sale_unknown": N_("There is no such sale."),
    "proofs_used_up": N_("This SMS was sent again three times already."),
    "no_phone": N_("No phone is confirmed for this account. Give the code."),
    "hand_over_open": N_("You are handing over {amount} already. End that first."),
    "hand_over_unknown": N_("There is no such hand-over."),
    "hand_over_ended": N_("The cashier has taken it already, or it was taken back."),
    "hand_over_expired": N_("Nobody took it within 24 hours: it is void."),
}
_OTHER = N_("This cannot be done. Nothing was changed. Ask your agency.")

_HOUR_S, _LONG_S = 3600, 7200


class Entered(Plain):
    """A screen behind the PIN. A replayed transcript stops at the PIN; digits typed ahead stop here too."""

    guarded = True


def role(ctx: Context) -> AgentRole:
    """Whose PIN was right in this session. Raises Gone."""
    if ctx.agent is None:
        raise Gone
    return ctx.agent


def did(ctx: Context) -> Mapping[str, Any]:
    """What came of the deed that led here. Raises Gone."""
    found = ctx.params.get("did")
    if not isinstance(found, Mapping):
        raise Gone
    return found


def money(ctx: Context, minor: Any) -> Money:
    """Minor units of the float's currency."""
    return Money(int(minor), role(ctx).currency)


def seller(ctx: Context) -> dict[str, Any]:
    """What every deed of an agent needs."""
    agent = role(ctx)
    return {"agent": agent.agent_id, "currency": agent.currency}


def refusal(ctx: Context) -> Line | None:
    """Why the deed that led here was not done, with its amount or wait; None where it was."""
    done = did(ctx)
    code = done.get("refused")
    if code is None:
        return None
    sentence = REFUSALS.get(str(code), _OTHER)
    blanks: dict[str, Any] = {}
    if "{amount}" in sentence:
        blanks["amount"] = money(ctx, done.get("minor") or 0).text
    if "{time}" in sentence:
        blanks["time"] = wait(int(done.get("wait") or 0))
    return Line(sentence, blanks)


def told_no(ctx: Context, *choices: Choice) -> Screen | None:
    """The screen of a refusal, where there is one."""
    why = refusal(ctx)
    return None if why is None else Screen((why,), choices)


def wait(seconds: int) -> str:
    """How long, in the one style of every language. Rounded up: who comes then is not too soon."""
    if seconds < 100:
        return f"{seconds} s"
    if seconds < _LONG_S:
        return f"{-(-seconds // 60)} min"
    return f"{-(-seconds // _HOUR_S)} h"


def currency_word(currency: str) -> str:
    return {"CDF": "FC"}.get(currency, currency)
