"""What channels and the console see of agents. Amounts carry their currency; moments are aware and UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from core.customers.model import AgentRole as AgentRole
from core.kernel.money import Money


@dataclass(frozen=True, slots=True)
class AgentSession:
    """The PIN was right. `must_change_pin`: the office made it; nothing but a change is allowed until it is.

    `entry`: which PIN opened this, for `propose_pin`; nothing can be learned from it.
    """

    agent_id: int
    code: str
    name: str
    currency: str
    must_change_pin: bool
    entry: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class PinRefused:
    """Wrong, or too soon. `tries_left`: before the lock. `wait_s`: real seconds before the next try counts. `too_soon`:
    what was typed before that counts for nothing, and nothing is said about it."""

    tries_left: int
    wait_s: int
    too_soon: bool = False


@dataclass(frozen=True, slots=True)
class Locked:
    """No try counts before `until` (real time), `wait_s` seconds from now. The office can reset the PIN."""

    until: datetime
    wait_s: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class PinChanged:
    """The new PIN counts from now on."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Per sale, per day in Kinshasa, and from where on a sale is large. Minor units of the agent's currency."""

    per_sale: Money
    per_day: Money
    large_sale: Money


@dataclass(frozen=True, slots=True)
class CommissionRule:
    """A version of what agents get. `agent_id` None: all who have no rule of their own. `max_minor` None: no cap."""

    id: int
    version: int
    agent_id: int | None
    currency: str
    basis_points: int
    min_minor: int
    max_minor: int | None
    valid_from: datetime
    valid_until: datetime | None


@dataclass(frozen=True, slots=True)
class Quote:
    """A sale as it would be. `customer_told`: some phone of the account is confirmed and will get the proof."""

    contract_id: int
    account_number: str
    masked_name: str
    amount: Money
    commission: Money
    float_after: Money
    customer_told: bool


# `none`: no phone of the account is confirmed. `failed`: it did not arrive, as far as anybody knows.
ProofState = Literal["under_way", "delivered", "failed", "none"]


@dataclass(frozen=True, slots=True)
class Sale:
    """A sale that is committed. `repeated`: it was before, under the same turn key; `end_text` is the first one.

    `proof`: what is known of the newest SMS about it, where sales are listed; None elsewhere.
    """

    code: str
    payment_id: str
    receipt_number: str
    account_number: str
    amount: Money
    commission: Money
    float_after: Money
    end_text: str
    sold_at: datetime
    proofs_left: int
    repeated: bool = False
    proof: ProofState | None = None


@dataclass(frozen=True, slots=True)
class FloatView:
    """`available`: what can still be sold, the credit limit included. `commission_unpaid`: owed to the agent.

    `commission_today`: what the sales of the day in Kinshasa have earned.
    """

    balance: Money
    credit_limit: Money
    available: Money
    sales_today: int
    sold_today: Money
    commission_unpaid: Money
    commission_today: Money


@dataclass(frozen=True, slots=True)
class FloatEntry:
    """One movement of a float: positive when it grew. `id` is the cursor for what is older."""

    id: str
    at: datetime
    kind: str
    change: Money
    actor: str
    memo: str
    account_number: str | None
    receipt_number: str | None


HandOverState = Literal["offered", "accepted", "withdrawn", "expired"]


@dataclass(frozen=True, slots=True)
class HandOver:
    """Cash on its way from an agent to a counter. The code is what the agent says and the cashier types."""

    code: str
    agent_id: int
    agent_name: str
    amount: Money
    state: HandOverState
    offered_at: datetime
    expires_at: datetime
    cashier: str | None
    end_text: str
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class AgentCreated:
    """`pin` is shown once and kept nowhere; it must be changed at the first entry."""

    agent_id: int
    code: str
    pin: str


@dataclass(frozen=True, slots=True)
class AgentView:
    """An agent as the console lists it."""

    id: int
    code: str
    name: str
    phone: str
    agency_id: int
    currency: str
    active: bool
    locked_until: datetime | None
    must_change_pin: bool
    balance: Money
    credit_limit: Money
    limits: Limits


@dataclass(frozen=True, slots=True)
class AgentLine:
    """An agent in the console's list, with what was sold today in Kinshasa. `sim_changed_at`: business time."""

    agent: AgentView
    agency: str
    sim_changed_at: datetime | None
    sales_today: int
    sold_today: Money


@dataclass(frozen=True, slots=True)
class RuleLine:
    """A version of the commission with whose it is and who wrote it. `agent_code` None: the general one."""

    rule: CommissionRule
    agent_code: str | None
    made_at: datetime
    made_by: str
