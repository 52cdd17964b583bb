"""The answers of the desk: today's figures, what a search found, one customer's head and story. Times are UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from core.cases.model import CaseCounts
from core.desk.case_model import Promised as Promised
from core.desk.case_model import Reported as Reported
from core.desk.prepaid_model import Issued as Issued
from core.desk.queue_model import Abandoned as Abandoned
from core.desk.text_model import Wrote as Wrote
from core.kernel.money import Money

# -- today -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MoneyIn:
    """What one wallet brought since midnight, without what was reversed. `brand` None: nobody asked for it."""

    wallet: str
    brand: str | None
    money: Money
    count: int
    reversed_count: int


@dataclass(frozen=True, slots=True)
class AttemptLine:
    """An attempt in a list: who pays for which account, and how it stands."""

    id: str
    own_ref: str
    customer_id: int | None
    customer: str
    account: str
    payer_phone: str
    brand: str
    wallet: str
    charged: Money
    state: str
    reason: str | None
    code: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class FailureCount:
    brand: str
    state: str
    reason: str | None
    count: int


@dataclass(frozen=True, slots=True)
class QueueAge:
    """How many effects of a kind wait, since when the oldest could have gone (real time), how many are dead."""

    kind: str
    waiting: int
    oldest_at: datetime | None
    dead: int


@dataclass(frozen=True, slots=True)
class DeadRow:
    id: int
    kind: str
    key: str
    why: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NoticeCount:
    """Notices of one kind since midnight, by how they stand."""

    kind: str
    sent: int
    delivered: int
    waiting: int
    failed: int


@dataclass(frozen=True, slots=True)
class StrayMeter:
    """A meter that does not report what the utility wants of it. `reported` None: never heard of."""

    meter_id: str
    customer_id: int | None
    customer: str
    account: str
    desired: str
    desired_version: int
    reported: str | None
    online: bool
    reported_at: datetime | None
    since: datetime


@dataclass(frozen=True, slots=True)
class Today:
    """The first page. Lists end at the limit they were asked with; the counts beside them do not."""

    now: datetime
    real_now: datetime
    since: datetime
    zone: str
    money: tuple[MoneyIn, ...]
    open_attempts: tuple[AttemptLine, ...]
    open_count: int
    failures: tuple[FailureCount, ...]
    failed_attempts: tuple[AttemptLine, ...]
    queues: tuple[QueueAge, ...]
    dead: tuple[DeadRow, ...]
    notices: tuple[NoticeCount, ...]
    stray: tuple[StrayMeter, ...]
    stray_count: int
    cases: CaseCounts


# -- search ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hit:
    """`how`: what the words matched: phone, account, meter, receipt, code, operator, reference, old_reference, name.

    `customer_id` None: money that has no customer yet.
    """

    customer_id: int | None
    customer: str
    accounts: tuple[str, ...]
    how: str
    what: str


# -- one customer ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ContractHead:
    id: int
    account: str
    kind: str
    state: str
    due: Money
    credit: Money
    open_invoices: int
    address: str
    zone: str
    protected: str | None
    meter_id: str | None
    control_kind: str | None
    desired: str | None
    desired_reason: str | None
    reported: str | None
    online: bool
    reported_at: datetime | None


@dataclass(frozen=True, slots=True)
class PhoneHead:
    """A linked phone. `fresh` False: silent for long, or with another SIM since `sim_changed_at`."""

    link_id: int
    phone: str
    role: str
    confirmed_at: datetime | None
    fresh: bool
    language: str | None
    last_brand: str | None
    opted_out: bool
    sim_changed_at: datetime | None
    fresh_until: datetime | None


@dataclass(frozen=True, slots=True)
class CustomerHead:
    id: int
    name: str
    kind: str
    language: str
    email: str | None
    zone: str
    now: datetime
    contracts: tuple[ContractHead, ...]
    phones: tuple[PhoneHead, ...]
    # Phones that ask to be linked.
    link_requests: int
    # Nothing arrives at the e-mail address.
    email_dead: bool = False

    @property
    def dues(self) -> tuple[Money, ...]:
        """What is due, one amount per currency, largest debt first; empty when nothing is."""
        sums: dict[str, int] = {}
        for contract in self.contracts:
            if contract.due:
                sums[contract.due.currency] = sums.get(contract.due.currency, 0) + contract.due.minor
        return tuple(Money(minor, currency) for currency, minor in sorted(sums.items(), key=lambda item: -item[1]))


@dataclass(frozen=True, slots=True)
class Step:
    """One line in the life of an attempt or a command."""

    at: datetime
    from_state: str
    to_state: str
    by: str
    detail: str


@dataclass(frozen=True, slots=True)
class Screen:
    """`typed` is what was keyed to get here; digits of a PIN are stored nowhere."""

    at: datetime
    typed: str
    text: str
    ended: bool


@dataclass(frozen=True, slots=True)
class Dial:
    """A USSD session as the phone showed it. `how`: as the network told its end (`core.turns.rules`), empty where it
    told nothing."""

    kind: ClassVar[str] = "dial"
    at: datetime
    phone: str
    service_code: str
    screens: tuple[Screen, ...]
    network: str = ""
    language: str = ""
    how: str = ""
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Post:
    """One debit POST to the wallet. `outcome` None: it went out and nothing is known of it."""

    number: int
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """We asked a wallet. `own` False: this customer's phone asked for somebody else's account."""

    kind: ClassVar[str] = "asked"
    at: datetime
    id: str
    own_ref: str
    wallet: str
    brand: str
    payer_phone: str
    asked_by_phone: str
    account: str
    own: bool
    owed: Money
    charged: Money
    state: str
    reason: str | None
    code: str | None
    provider_ref: str | None
    provider_txn_id: str | None
    flag: str | None
    steps: tuple[Step, ...]
    posts: tuple[Post, ...]


@dataclass(frozen=True, slots=True)
class Paid:
    """Money that arrived. `allocations`: invoice number and amount; the rest went to credit or suspense. `sold_by`: the
    agent who took it, whose code of the sale is the transaction's id."""

    kind: ClassVar[str] = "paid"
    at: datetime
    id: str
    wallet: str
    brand: str | None
    amount: Money
    payer_phone: str | None
    provider_txn_id: str | None
    account: str
    own: bool
    receipt_number: str
    verification_code: str
    in_suspense: bool
    reversed_at: datetime | None
    found_by: str
    allocations: tuple[tuple[str, Money], ...]
    to_credit: Money | None
    sold_by: str = ""


@dataclass(frozen=True, slots=True)
class Billed:
    kind: ClassVar[str] = "billed"
    at: datetime
    account: str
    number: str
    period: str
    total: Money
    paid: Money
    state: str
    disputed: bool
    estimated: bool


@dataclass(frozen=True, slots=True)
class Report:
    at: datetime
    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class Told:
    """A notice we sent, and what is known of its delivery."""

    kind: ClassVar[str] = "told"
    at: datetime
    account: str
    notice: str
    channel: str
    recipient: str
    language: str
    body: str
    segments: int
    state: str
    detail: str
    not_before: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    reports: tuple[Report, ...]


@dataclass(frozen=True, slots=True)
class Dunned:
    """A dunning step that was due and sent."""

    kind: ClassVar[str] = "dunned"
    at: datetime
    account: str
    invoice: str
    cycle: int
    step: str
    policy_version: int
    delivered_at: datetime | None
    evidence: str | None


@dataclass(frozen=True, slots=True)
class Decided:
    """Why supply was wanted on or off, with the facts of that moment."""

    kind: ClassVar[str] = "dunned"
    at: datetime
    account: str
    cause: str
    off_due: bool
    supply: str
    policy_version: int
    reasons: tuple[Any, ...]
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Switched:
    """A relay command and its life."""

    kind: ClassVar[str] = "switched"
    at: datetime
    account: str
    meter_id: str
    version: int
    supply: str
    reason: str
    state: str
    attempts: int
    not_before: datetime
    not_after: datetime
    end_code: str | None
    created_by: str
    hold_reasons: tuple[Any, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Crew:
    """Work for a person on the road."""

    kind: ClassVar[str] = "switched"
    at: datetime
    account: str
    task: str
    meter_id: str | None
    state: str
    detail: str
    done_at: datetime | None
    done_by: str | None


Entry = (
    Dial
    | Asked
    | Paid
    | Billed
    | Told
    | Dunned
    | Decided
    | Switched
    | Crew
    | Reported
    | Promised
    | Issued
    | Wrote
    | Abandoned
)
KINDS = ("dial", "asked", "paid", "billed", "told", "dunned", "switched", "reported")


@dataclass(frozen=True, slots=True)
class Story:
    """Newest first. `older`: give it as `before` to go on; None when this is the beginning of the story."""

    entries: tuple[Entry, ...]
    older: datetime | None
