"""Tariffs, invoices, and the dunning of them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, RowId, UtcDateTime


class TariffRow(Base):
    """One version of a tariff, from `valid_from` on: insert-only. A contract names any version of its `code`.

    `body` is read and checked by `core.billing.tariffs`.
    """

    __tablename__ = "tariff"
    __table_args__ = (UniqueConstraint("code", "valid_from"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    code: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(80))
    kind: Mapped[str] = mapped_column(String(12))
    currency: Mapped[str] = mapped_column(String(3))
    valid_from: Mapped[date]
    body: Mapped[dict[str, Any]] = mapped_column(JSON)


class BillingRunRow(Base):
    """One start of a run over a period. An interrupted one stays without `finished_at`; the next one takes up the rest.

    `agency_id` None: all of them.
    """

    __tablename__ = "billing_run"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    period: Mapped[str] = mapped_column(String(7), index=True)
    agency_id: Mapped[int | None] = mapped_column(ForeignKey("agency.id"))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    started_by: Mapped[str] = mapped_column(String(80))
    made: Mapped[int] = mapped_column(default=0)
    left_out: Mapped[int] = mapped_column(default=0)


class InvoiceRow(Base):
    """`state` stores draft, validated, sent, cancelled; partially paid and paid follow from `paid_minor`.

    `paid_minor` is what transfers naming this invoice have allocated; only settlement changes it.
    """

    __tablename__ = "invoice"
    __table_args__ = (
        CheckConstraint("total_minor > 0 AND tax_minor >= 0 AND tax_minor <= total_minor", name="amounts"),
        CheckConstraint("paid_minor >= 0 AND paid_minor <= total_minor", name="paid"),
        CheckConstraint("state IN ('draft', 'validated', 'sent', 'cancelled')", name="state"),
        # The dunning sweep and the home screen walk open invoices only. `state` and the comparison stand as literals
        # in the queries too, or the planners do not use this index.
        Index(
            "ix_invoice_open",
            "contract_id",
            "sent_on",
            sqlite_where=text("state = 'sent' AND paid_minor < total_minor"),
            postgresql_where=text("state = 'sent' AND paid_minor < total_minor"),
        ),
        Index("ix_invoice_contract_id", "contract_id"),
        # One invoice per contract and period, however many runs work at once. One that was cancelled may be made anew.
        Index(
            "ix_invoice_billed_period",
            "contract_id",
            "period",
            unique=True,
            sqlite_where=text("run_id IS NOT NULL AND state <> 'cancelled'"),
            postgresql_where=text("run_id IS NOT NULL AND state <> 'cancelled'"),
        ),
        Index("ix_invoice_run_id", "run_id"),
        # A run's month, and the console's.
        Index("ix_invoice_period", "period", "state"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    number: Mapped[str] = mapped_column(String(24), unique=True)
    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id"))
    period: Mapped[str] = mapped_column(String(7))
    currency: Mapped[str] = mapped_column(String(3))
    total_minor: Mapped[int] = mapped_column(BigInteger)
    tax_minor: Mapped[int] = mapped_column(BigInteger, default=0)
    paid_minor: Mapped[int] = mapped_column(BigInteger, default=0)
    state: Mapped[str] = mapped_column(String(10), default="draft")
    issued_on: Mapped[date]
    # The day the clock of dunning started, as people at the site call it; None before it is sent.
    sent_on: Mapped[date | None]
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # Grows when an operator's reversal opens a paid invoice again: a new cycle, with a new warning.
    cycle: Mapped[int] = mapped_column(default=1)
    disputed: Mapped[bool] = mapped_column(default=False)
    estimated: Mapped[bool] = mapped_column(default=False)
    # The run that made it; None for one that a person wrote.
    run_id: Mapped[int | None] = mapped_column(ForeignKey("billing_run.id"))
    # Written by a person besides the month's own invoice (a connection fee): a run bills the month all the same.
    besides: Mapped[bool] = mapped_column(default=False, server_default=false())
    # The days it covers, `until_on` itself not among them.
    from_on: Mapped[date | None]
    until_on: Mapped[date | None]
    # Why it differs from the one before: what `core.billing.explained` says in words. None where nothing is compared.
    explained: Mapped[list[Any] | None] = mapped_column(JSON)


class InvoiceLineRow(Base):
    """One line. `component`: what it charges (energy, standing, subscription, flat, levy); None where a person wrote
    it. `block`: the energy's block, from 1.

    `price`: the price in force as a decimal text in units of the currency, per kWh for energy, per month otherwise;
    for a levy its rate in per cent. `tariff_id`: the version it was taken from. `from_on` to `until_on`: its days.
    """

    __tablename__ = "invoice_line"
    __table_args__ = (UniqueConstraint("invoice_id", "position"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"))
    position: Mapped[int]
    label: Mapped[str] = mapped_column(String(120))
    quantity: Mapped[str] = mapped_column(String(24), default="1")
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    levy: Mapped[str | None] = mapped_column(String(16))
    component: Mapped[str | None] = mapped_column(String(12))
    block: Mapped[int | None]
    price: Mapped[str | None] = mapped_column(String(24))
    tariff_id: Mapped[int | None] = mapped_column(ForeignKey("tariff.id"))
    from_on: Mapped[date | None]
    until_on: Mapped[date | None]


class DunningPolicyRow(Base):
    """Versioned data: what is due when, what evidence a cut needs, in which windows it may happen."""

    __tablename__ = "dunning_policy"

    version: Mapped[int] = mapped_column(primary_key=True)
    valid_from: Mapped[date]
    body: Mapped[dict[str, Any]] = mapped_column(JSON)


class DunningCycleRow(Base):
    """When the clock of an invoice started to run, and started again."""

    __tablename__ = "dunning_cycle"

    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"), primary_key=True)
    cycle: Mapped[int] = mapped_column(primary_key=True)
    started_on: Mapped[date]
    cause: Mapped[str] = mapped_column(String(24))


class ReminderRow(Base):
    """A dunning step that was due and sent. Unique per invoice, cycle and step: it happens once.

    `step`: `sent`, `reminder`, `warning`, `announcement`, or one of these with `.2`, `.3` … when it had to be said
    again. `leaves_at`: when its notice may leave (None: it never will). `delivered_at`: by delivery report, a USSD
    screen really shown, or a crew's word (`evidence` says which: `report`, `screen`, `crew`). `cut_on`: the day a
    warning named; supply is never cut before it. A step without a notice goes by crew.
    """

    __tablename__ = "reminder"
    __table_args__ = (UniqueConstraint("invoice_id", "cycle", "step"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"))
    cycle: Mapped[int]
    step: Mapped[str] = mapped_column(String(20))
    policy_version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    notice_id: Mapped[int | None] = mapped_column(ForeignKey("notice.id"), index=True)
    leaves_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    delivered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    evidence: Mapped[str | None] = mapped_column(String(16))
    cut_on: Mapped[date | None]


class HoldRow(Base):
    """A reason not to cut: a promise, a dispute, money under way. Limited in number and age per invoice."""

    __tablename__ = "hold"
    __table_args__ = (Index("ix_hold_contract_id", "contract_id"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id"))
    invoice_id: Mapped[int | None] = mapped_column(ForeignKey("invoice.id"))
    kind: Mapped[str] = mapped_column(String(20))
    from_at: Mapped[datetime] = mapped_column(UtcDateTime)
    until_at: Mapped[datetime] = mapped_column(UtcDateTime)
    by: Mapped[str] = mapped_column(String(80))
    reason: Mapped[str] = mapped_column(Text, default="")


class DunningDecisionRow(Base):
    """Why supply was wanted on or off, with the facts and the policy of that moment: explained a year later.

    Written when the answer or its reasons changed, not at every evaluation.
    """

    __tablename__ = "dunning_decision"
    __table_args__ = (Index("ix_dunning_decision_contract_id", "contract_id", "at"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id"))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    policy_version: Mapped[int]
    cause: Mapped[str] = mapped_column(String(40))
    off_due: Mapped[bool]
    supply: Mapped[str] = mapped_column(String(3))
    reasons: Mapped[list[Any]] = mapped_column(JSON)
    facts: Mapped[dict[str, Any]] = mapped_column(JSON)


class NumberSeriesRow(Base):
    """Counters without gaps or twins: locked in the transaction that issues the number."""

    __tablename__ = "number_series"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    last: Mapped[int] = mapped_column(BigInteger, default=0)
