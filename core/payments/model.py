"""What the payments service takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from core.kernel.money import Money

BRAND_NAMES = {"mpesa": "M-Pesa", "airtel": "Airtel Money", "orange": "Orange Money"}


# Nobody means to pay ten thousand dollars by keypad; a slip of the thumb does. Minor units.
AMOUNT_BOUNDS = {"CDF": (100_00, 20_000_000_00), "USD": (50, 2_500_00), "KES": (100, 250_000_00)}


@dataclass(frozen=True, slots=True)
class Offer:
    """A brand a customer may choose. `wallet` collects for it now; None with `down`: none of its wallets is well."""

    brand: str
    wallet: str | None
    down: bool = False


class OpenSessions(Protocol):
    """Whether a phone has a USSD session open: the operator's prompt cannot appear while it has."""

    def has_open(self, phone: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """What a customer confirmed, or an agent who buys float: then `float_agent_id` says whose, without a contract.

    `amount` is in the contract's or the float's currency. `invoice_ids` empty: oldest first. `turn_key`: unique for the
    confirming turn, so that a repeat finds the first one; `end_text` is stored with it and given back word for word.
    """

    payer_phone: str
    asked_by_phone: str
    brand: str
    contract_id: int | None
    amount: Money
    language: str
    origin: str
    turn_key: str | None
    end_text: str
    invoice_ids: tuple[int, ...] = ()
    float_agent_id: int | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """The attempt is committed. `repeated`: it was there already, `end_text` is the first one's."""

    attempt_id: str
    end_text: str
    repeated: bool = False


RefusalWhy = Literal[
    "already_open",
    "contract_closed",
    "float_closed",
    "invoice_not_open",
    "nothing_to_pay",
    "amount_out_of_range",
    "no_wallet",
    "wallet_down",
]


@dataclass(frozen=True, slots=True)
class BeginRefused:
    """Nothing was changed. `attempt_state` says what the open attempt is doing, with `already_open`."""

    why: RefusalWhy
    attempt_state: str | None = None
