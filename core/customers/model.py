"""What is known of a caller: one immutable snapshot, loaded once per turn."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from core.customers.links import LinkRequestView, MemberView
from core.customers.opening import Hours
from core.kernel.money import Money, zero


@dataclass(frozen=True, slots=True)
class OpenInvoice:
    """An invoice that was sent and is not fully paid.

    `cycle_started_on`: the day its dunning started, or started again. `named_cut_on`: the cut day that the newest
    warning named. `held_until`: it is disputed, and nobody is cut for it before that day.
    """

    id: int
    number: str
    period: str
    due: Money
    sent_on: date
    cycle_started_on: date
    named_cut_on: date | None = None
    held_until: date | None = None


@dataclass(frozen=True, slots=True)
class ReadingView:
    """What a meter last said of itself. `energy_wh`: its register, None where it told none; `supply`: on or off."""

    supply: str
    at: datetime
    energy_wh: int | None = None


@dataclass(frozen=True, slots=True)
class PrepaidView:
    """The newest tokens of a prepaid contract. `tokens`: text with leading zeros, in the order to type them.

    `unit`: day or kwh; `quantity`: how many of them all `tokens` together bring. `paid_until`: when what was bought
    ends, if every token was typed at once; None where the meter counts kWh. `recent`: the last tokens over all top-ups,
    oldest first, those of `tokens` at the end. A device takes them all in this order.
    """

    unit: str
    quantity: int
    tokens: tuple[str, ...]
    issued_at: datetime
    paid_until: datetime | None = None
    recent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PromiseView:
    """The newest promise to pay of a contract, `open` or `broken`. `ended_at`: when it was found broken."""

    state: str
    promised_on: date
    amount: Money
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case of this phone, or of a contract it may see, that is not closed. `state`: open, taken, answered."""

    number: str
    kind: str
    state: str
    opened_at: datetime
    contract_id: int | None = None


@dataclass(frozen=True, slots=True)
class ContractView:
    """One contract as a caller may see it.

    `own`: the caller's link to it is confirmed and fresh; otherwise only account number, kind and a masked name may be
    shown. `cut_on`: the first day on which supply may go off for what is due; None when nothing is.
    `supply`: what the utility wants of the meter, None where it does not command it; `why_off`: the reason of an off.
    `control`: how the meter is switched. `role`: the caller's link, None without one. `promise_days`: what a promise
    may name today, nearest first, none of them before `cut_on`. All that follows `commune` is for own contracts only.
    """

    id: int
    account_number: str
    name: str
    kind: str
    currency: str
    state: str
    time_zone: str
    own: bool
    commune: str = ""
    customer_id: int | None = None
    role: str | None = None
    credit: Money | None = None
    supply: str | None = None
    why_off: str | None = None
    invoices: tuple[OpenInvoice, ...] = ()
    cut_on: date | None = None
    meter_id: str | None = None
    control: str | None = None
    reading: ReadingView | None = None
    prepaid: PrepaidView | None = None
    promise: PromiseView | None = None
    promise_days: tuple[date, ...] = ()

    @property
    def due(self) -> Money:
        return Money(sum(i.due.minor for i in self.invoices), self.currency)

    @property
    def has_credit(self) -> bool:
        return self.credit is not None and self.credit > zero(self.currency)

    def without_amounts(self) -> ContractView:
        """What somebody who is not linked to it may know."""
        return ContractView(
            self.id,
            self.account_number,
            self.name,
            self.kind,
            self.currency,
            self.state,
            self.time_zone,
            own=False,
            commune=self.commune,
        )


@dataclass(frozen=True, slots=True)
class AttemptView:
    """A request to a wallet, open or ended a short while ago. `amount` is what the payer is charged."""

    id: str
    contract_id: int | None
    amount: Money
    brand: str
    payer_phone: str
    asked_by_phone: str
    state: str
    is_open: bool
    reason: str | None
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class ReceiptView:
    """A payment that arrived, as read again by its payer or the account's holder."""

    number: str
    code: str
    amount: Money
    at: datetime
    account_number: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class AgencyView:
    """`opening`: its hours, where they are known by weekday; until then `hours` says what stands on its door."""

    id: int
    name: str
    city: str
    address: str
    phone: str
    hours: str
    opening: Hours | None = None


@dataclass(frozen=True, slots=True)
class AgentRole:
    """That a number is an agent's, before any PIN: for the choice of the menu. Nothing of the float is in it."""

    agent_id: int
    code: str
    name: str
    currency: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a screen may need of one caller, at one moment of business time (`at`).

    `contracts`: those the caller may see with amounts, oldest first. `other`: the contract of the account number that
    was asked for, without amounts unless it is one of `contracts`. `is_linked`: some customer gave this number, even
    if the link was never confirmed or went stale. `attempts`: newest first. `agent`: the agent that this number is;
    no PIN was asked. `proof_failed`: an SMS about one of the agent's last sales did not arrive. `requests` and
    `members`: phones that ask for, or have, a part in the accounts whose holder this phone is. `cases`: not closed,
    newest first. `end_text`: the END that this very turn left behind, if it was run before. Receipts, requests,
    members and cases are read only where a turn may show them.
    """

    phone: str
    at: datetime
    language: str | None = None
    is_linked: bool = False
    last_brand: str | None = None
    contracts: tuple[ContractView, ...] = ()
    other: ContractView | None = None
    attempts: tuple[AttemptView, ...] = ()
    receipts: tuple[ReceiptView, ...] = ()
    agent: AgentRole | None = None
    proof_failed: bool = False
    requests: tuple[LinkRequestView, ...] = ()
    members: tuple[MemberView, ...] = ()
    cases: tuple[CaseView, ...] = ()
    end_text: str | None = None

    def contract(self, contract_id: int) -> ContractView | None:
        """The contract with this id, if the caller may see or pay it in this turn."""
        for view in self.contracts:
            if view.id == contract_id:
                return view
        if self.other is not None and self.other.id == contract_id:
            return self.other
        return None
