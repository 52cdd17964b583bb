"""What the refunds service takes and gives, and why it refuses, in words for the console."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from core.i18n import N_
from core.kernel.errors import StateConflict
from core.kernel.money import Money
from core.payments.answers import RefundMode

RefundRefusal = Literal[
    "unknown",
    "wallet_cannot",
    "not_an_amount",
    "other_currency",
    "too_much",
    "full_only",
    "credit_too_small",
    "nothing_waiting",
    "agent_float",
    "reversed",
    "already_open",
    "same_person",
    "not_waiting",
    "no_reason",
]

WORDS: Mapping[RefundRefusal, str] = {
    "unknown": N_("There is no such payment or refund."),
    "wallet_cannot": N_("This wallet cannot give money back. Pay it out by hand and record it."),
    "not_an_amount": N_("This is no amount that can be paid out."),
    "other_currency": N_("The payment came in another currency than this, or than its contract. Pay it out by hand."),
    "too_much": N_("More than what is left of this payment."),
    "full_only": N_("This wallet gives back the whole payment or nothing."),
    "credit_too_small": N_(
        "The money was used for invoices, or more was given back already: the contract has too little credit. "
        "Free it with a credit note first."
    ),
    "nothing_waiting": N_("Nothing of this payment waits any more."),
    "agent_float": N_("This money is an agent's float. It cannot be given back from here."),
    "reversed": N_("The operator took this payment back already."),
    "already_open": N_("A refund of this payment is under way."),
    "same_person": N_("Whoever asked for a refund cannot decide on it. Another person must."),
    "not_waiting": N_("This refund is in a state that does not allow it."),
    "no_reason": N_("Give a reason."),
}


class RefundRefused(StateConflict):
    """Nothing was changed. `code` says why; `WORDS[code]` is the sentence for the console."""

    def __init__(self, code: RefundRefusal) -> None:
        super().__init__(WORDS[code])
        self.code: RefundRefusal = code


@dataclass(frozen=True, slots=True)
class Returnable:
    """What of a payment may be given back now. `max` is nothing where `why_not` says why; `mode` `full`: only all."""

    max: Money
    why_not: RefundRefusal | None
    mode: RefundMode

    @property
    def words(self) -> str | None:
        return WORDS[self.why_not] if self.why_not is not None else None


@dataclass(frozen=True, slots=True)
class RefundView:
    """A refund as the console shows it. `at_odds`: what the operator said contradicts itself, or the books."""

    refund_id: str
    own_ref: str
    payment_id: str
    receipt_number: str
    contract_id: int | None
    account_number: str | None
    wallet: str
    source: str
    amount: Money
    payer_phone: str
    reason: str
    state: str
    is_open: bool
    requested_by: str
    requested_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    decision_note: str
    provider_ref: str | None
    provider_txn_id: str | None
    code: str | None
    posts: int
    queries: int
    submitted_at: datetime | None
    next_query_at: datetime | None
    ended_at: datetime | None
    at_odds: bool = False
