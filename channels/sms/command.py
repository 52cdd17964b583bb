"""What a keyword is: its words in each language, and a function from what is known to an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from channels.sms.keywords import Heard
from core.customers.model import ContractView, Snapshot
from core.payments.model import BeginRefused, Begun, Offer, PaymentRequest
from core.services.documents import NotFound, Verified, VerifiedBill
from core.services.inbox import Answer, Message


class PaymentDoor(Protocol):
    """The part of `core.services.payments.Payments` that an order needs."""

    def offers(self, currency: str) -> tuple[Offer, ...]: ...

    def begin(self, request: PaymentRequest) -> Begun | BeginRefused: ...


class Verifier(Protocol):
    """The part of `core.services.documents.Documents` that a check of a receipt needs."""

    def verify(self, typed: str) -> Verified | VerifiedBill | NotFound: ...


@dataclass(frozen=True, slots=True)
class Doors:
    """What commands may call. `brand_of`: the wallet that most likely goes with a number."""

    payments: PaymentDoor
    receipts: Verifier
    brand_of: Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Asked:
    """One text that was understood. `caller.other` is the contract of `heard.account`.

    `word`: how a command is called in the language of the answer.
    """

    message: Message
    heard: Heard
    caller: Snapshot
    language: str
    word: Callable[[str], str]

    @property
    def one(self) -> ContractView | None:
        """The account that is meant: the one named, if it may be seen; else the only one there is."""
        named = self.heard.account
        if named is not None:
            return next((view for view in self.caller.contracts if view.account_number == named), None)
        return self.caller.contracts[0] if len(self.caller.contracts) == 1 else None


@dataclass(frozen=True, slots=True)
class Command:
    """`words`: by language, the one that is named in answers first. Those in French hold in every language of the
    country: they stand on the bills."""

    name: str
    words: Mapping[str, tuple[str, ...]]
    answer: Callable[[Asked, Doors], Answer]
