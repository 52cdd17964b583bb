"""Answers a text that somebody sent us: once, in her language, and never a machine."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Protocol

import structlog

from channels.sms.command import Asked, Doors
from channels.sms.commands.pay import PAY
from channels.sms.keywords import Heard, hear, is_small_talk
from channels.sms.vocabulary import ALWAYS, COMMANDS, STOP, VOCABULARY, language_of, word_in
from core.customers.model import Snapshot
from core.notices.pasted import COVER
from core.outbox import Done, Outcome
from core.phone_numbers import is_at_home, is_mobile, masked
from core.services.inbox import Answer, Inbox, Message

_log = structlog.get_logger("sms")
# An order says itself that it was not read, and that nothing was charged.
_DESPITE_A_SECRET = ALWAYS | {PAY.name}


class Callers(Protocol):
    """The part of `core.services.customers.Customers` that is needed here."""

    def snapshot(self, phone: str, account: str | None = None) -> Snapshot: ...


class Answering:
    """Reads one kept text at a time. Safe to share between threads."""

    def __init__(
        self,
        inbox: Inbox,
        callers: Callers,
        doors: Doors,
        *,
        codes: Collection[str] = (),
        ourselves: Collection[str] = (),
        renew: Sequence[Callable[[], None]] = (),
    ) -> None:
        """`codes`: the numbers people text to; a text to another one is not ours to answer. Empty: all are ours.

        `ourselves`: names and numbers that our own texts come from. `renew`: reads again what the doors have in memory
        (which wallets are well, whose number is whose): this process has no visitors that would have it done.
        """
        self._inbox = inbox
        self._callers = callers
        self._doors = doors
        self._renew = tuple(renew)
        self._codes = frozenset(_bare(code) for code in codes if code)
        self._ourselves = frozenset(_bare(name) for name in ourselves if name)

    def answer(self, inbound_id: int) -> Outcome:
        """Give a text its one answer. Running twice is harmless. Raises NotRecorded."""
        message = self._inbox.open(inbound_id)
        if message is None:
            return Done("answered already")
        silent = self._why_silent(message)
        if silent is not None:
            return self._leave(message, silent)
        heard = hear(message.body, VOCABULARY, always=ALWAYS)
        if message.stop and heard.command not in ALWAYS:
            heard = Heard(STOP.name)
        caller = self._callers.snapshot(message.phone, heard.account)
        if not is_at_home(message.phone) and not caller.is_linked:
            return self._leave(message, "abroad")
        language = language_of(heard.languages, caller.language)
        asked = Asked(message, heard, caller, language, partial(word_in, language))
        for again in self._renew:
            again()
        answer = _answer_of(asked, self._doors)
        given = self._inbox.answer(message, answer, language)
        _log.info("sms_answered", phone=masked(message.phone), kind=answer.kind, inbound=message.id)
        return Done(answer.kind if given else "answered already")

    def _leave(self, message: Message, why: str) -> Outcome:
        self._inbox.leave(message, why)
        _log.info("sms_not_answered", why=why, inbound=message.id)
        return Done(why)

    def _why_silent(self, message: Message) -> str | None:
        """Names, short codes and machines are never answered: they would answer us."""
        if not is_mobile(message.phone):
            return "no_phone"
        if _bare(message.phone) in {_bare(message.sent_to), *self._ourselves}:
            return "ourselves"
        if self._codes and message.sent_to and _bare(message.sent_to) not in self._codes:
            return "other_code"
        return None


def _answer_of(asked: Asked, doors: Doors) -> Answer:
    command = COMMANDS.get(asked.heard.command)
    if command is None or (COVER in asked.message.body and command.name not in _DESPITE_A_SECRET):
        return _not_understood(asked)
    return command.answer(asked, doors)


def _not_understood(asked: Asked) -> Answer:
    """For a person to read, unless there is nothing to read; told once a day, whatever is written.

    Whoever sends a PIN is told never to, and nothing else is made of it.
    """
    body, caller = asked.message.body, asked.caller
    words = {"balance": asked.word("balance"), "help": asked.word("help"), "word": asked.word("pay")}
    readable = any(c.isalnum() for c in body) and not is_small_talk(body)
    contract_id = caller.contracts[0].id if len(caller.contracts) == 1 else None
    kind = "sms.unknown.filed" if readable else "sms.unknown"
    if COVER in body:
        kind = "sms.secret"
    return Answer(kind, words, "unknown", contract_id=contract_id, filed=readable)


def _bare(name: str) -> str:
    """A number or a name without its marks: `*123#`, `+243 81...`, `MWOLO`."""
    return "".join(c for c in name.casefold() if c.isalnum())
