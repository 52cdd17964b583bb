"""What the money pages of the console are told. Times are UTC; an attempt's are moved to business time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from core.desk.model import Asked, AttemptLine, Paid
from core.kernel.money import Money


@dataclass(frozen=True, slots=True)
class AttemptFilter:
    """Which attempts to list; empty fields ask for nothing. `attention`: only those that need somebody."""

    state: str = ""
    wallet: str = ""
    brand: str = ""
    phone: str = ""
    own_ref: str = ""
    attention: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a list goes on: after this entry. `at` as the entry showed it."""

    at: datetime
    id: str


@dataclass(frozen=True, slots=True)
class AttemptEntry:
    """One attempt in the list. `next_query_at`: real time; None: nobody asks any more."""

    line: AttemptLine
    flag: str | None
    provider_txn_id: str | None
    next_query_at: datetime | None
    queries: int


@dataclass(frozen=True, slots=True)
class Attempts:
    """Newest first. `older`: give it as `after` to go on; None at the end."""

    entries: tuple[AttemptEntry, ...]
    older: Place | None
    real_now: datetime


@dataclass(frozen=True, slots=True)
class CallbackView:
    """A callback as it came, readable: `path` without the secret, `headers` and `body` without what nobody may see."""

    id: int
    wallet: str
    kind: str
    at: datetime
    state: str
    note: str
    source: str
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: str
    size: int
    processed_at: datetime | None


@dataclass(frozen=True, slots=True)
class QuoteView:
    """1 `from_currency` is `rate` of `to_currency`, as text."""

    from_currency: str
    to_currency: str
    rate: str
    source: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One attempt with its whole life. `next_query_at`, `real_now`: real time."""

    asked: Asked
    customer_id: int | None
    customer: str
    origin: str
    language: str
    queries: int
    submitted_at: datetime | None
    ended_at: datetime | None
    next_query_at: datetime | None
    real_now: datetime
    invoices: tuple[str, ...]
    quote: QuoteView | None
    callbacks: tuple[CallbackView, ...]
    payments: tuple[Paid, ...]


@dataclass(frozen=True, slots=True)
class WalletFigures:
    """How one wallet fares. `ended`: attempts of the last day with an end; `paid`: how many of them brought money."""

    wallet: str
    open: int
    ended: int
    paid: int
    oldest_unknown_at: datetime | None


@dataclass(frozen=True, slots=True)
class ContractBrief:
    """Whose contract it is and what it owes: what somebody checks before putting money on it."""

    contract_id: int
    account: str
    kind: str
    state: str
    currency: str
    due: Money
    customer_id: int
    customer: str
    address: str


@dataclass(frozen=True, slots=True)
class PaymentBrief:
    """One payment with where its money went, and whose it is; `contract` None: nobody's yet."""

    paid: Paid
    contract: ContractBrief | None
    reference: str | None
    refunded: Money
