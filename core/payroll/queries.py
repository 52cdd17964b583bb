"""Questions about payroll, a function each. Session first, no commit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, String, and_, case, cast, func, or_, select
from sqlalchemy.orm import Session

from core.agents.tables import AgentRow
from core.customers.tables import AgencyRow, PhoneRow
from core.i18n import DEFAULT_LANGUAGE
from core.kernel.money import Money
from core.ledger.tables import AccountRow, JournalRow, TransferRow
from core.payroll.model import (
    EmployeeFacts,
    EmployeeView,
    Item,
    ItemView,
    Line,
    Look,
    Payee,
    RatesView,
    RunView,
    SlipView,
)
from core.payroll.rate_rules import read_rates
from core.payroll.tables import (
    EmployeeRow,
    PayItemRow,
    PayRatesRow,
    PayrollLookRow,
    PayrollRunRow,
    PayslipLineRow,
    PayslipRow,
)

# The kind of the journals by which payroll itself moves commission.
PAID_BY_PAYROLL = "payslip_closed"


# -- who is paid


def employee_view(row: EmployeeRow, agency: str) -> EmployeeView:
    facts = EmployeeFacts(
        name=row.name,
        job=row.job,
        agency_id=row.agency_id,
        base=Money(row.base_minor, row.currency),
        starts_on=row.starts_on,
        number=row.number,
        phone=row.phone,
        email=row.email,
        language=row.language,
        pay_to=row.pay_to,
        dependants=row.dependants,
        ends_on=row.ends_on,
        active=row.active,
    )
    return EmployeeView(row.id, row.number, agency, facts)


def employees(
    session: Session, *, after: str = "", limit: int = 50, active: bool | None = None, employee_id: int | None = None
) -> list[EmployeeView]:
    """By number, from behind `after` on; those who are paid, those who are not any more, or all."""
    wanted = (
        select(EmployeeRow, AgencyRow.name)
        .join(AgencyRow, AgencyRow.id == EmployeeRow.agency_id)
        .where(EmployeeRow.number > after)
        .order_by(EmployeeRow.number)
        .limit(limit)
    )
    if active is not None:
        wanted = wanted.where(EmployeeRow.active.is_(active))
    if employee_id is not None:
        wanted = wanted.where(EmployeeRow.id == employee_id)
    return [employee_view(row, agency) for row, agency in session.execute(wanted)]


def employees_of(session: Session, currency: str) -> list[tuple[EmployeeRow, str]]:
    """Everybody on a salary in this currency who is not switched off, with the agency's name, by number."""
    wanted = (
        select(EmployeeRow, AgencyRow.name)
        .join(AgencyRow, AgencyRow.id == EmployeeRow.agency_id)
        .where(EmployeeRow.currency == currency, EmployeeRow.active.is_(True))
        .order_by(EmployeeRow.number)
    )
    return [(row, agency) for row, agency in session.execute(wanted)]


def agents_of(session: Session, currency: str) -> list[tuple[AgentRow, str, str]]:
    """Every agent in this currency, switched off or not (what was earned is owed), with agency and language."""
    wanted = (
        select(AgentRow, AgencyRow.name, PhoneRow.language)
        .join(AgencyRow, AgencyRow.id == AgentRow.agency_id)
        .outerjoin(PhoneRow, PhoneRow.phone == AgentRow.phone)
        .where(AgentRow.currency == currency)
        .order_by(AgentRow.code)
    )
    return [(row, agency, language or DEFAULT_LANGUAGE) for row, agency, language in session.execute(wanted)]


# -- what the ledger says


def commission_owed(session: Session, currency: str, until: datetime) -> dict[int, int]:
    """agent → commission earned before `until` and not paid, in minor units; below zero where more was taken back.

    Never more than the account holds now: what was taken back since is not paid first and asked for afterwards.
    """
    held = session.execute(
        select(AccountRow.id, AccountRow.owner, AccountRow.balance_minor).where(
            AccountRow.code == "commission_payable", AccountRow.currency == currency
        )
    ).all()
    later = _later_commission(session, currency, until)
    return {int(owner): min(int(now or 0), int(now or 0) - later.get(account, 0)) for account, owner, now in held}


def _later_commission(session: Session, currency: str, until: datetime) -> dict[int, int]:
    """account → what moved on it from `until` on, but for what payroll paid."""
    moved: dict[int, int] = defaultdict(int)
    for column, sign in ((TransferRow.credit_account_id, 1), (TransferRow.debit_account_id, -1)):
        rows = session.execute(
            select(column, func.sum(TransferRow.amount_minor))
            .join(AccountRow, AccountRow.id == column)
            .join(JournalRow, JournalRow.id == TransferRow.journal_id)
            .where(
                AccountRow.code == "commission_payable",
                AccountRow.currency == currency,
                TransferRow.at >= until,
                JournalRow.kind != PAID_BY_PAYROLL,
            )
            .group_by(column)
        )
        for account, minor in rows:
            moved[account] += sign * int(minor)
    return moved


def float_debts(session: Session, currency: str) -> dict[int, int]:
    """agent → how far the float is below its credit limit, in minor units. Only after an operator took money back."""
    rows = session.execute(
        select(AgentRow.id, AgentRow.credit_limit_minor, AccountRow.balance_minor)
        .join(
            AccountRow,
            and_(
                AccountRow.code == "agent_float",
                AccountRow.currency == AgentRow.currency,
                AccountRow.balance_minor < -AgentRow.credit_limit_minor,
            ),
        )
        .where(AgentRow.currency == currency, AccountRow.owner == cast(AgentRow.id, String))
    )
    return {agent_id: -int(balance or 0) - limit for agent_id, limit, balance in rows}


# -- bonuses and deductions


def items_due(session: Session, currency: str, period: str) -> dict[Payee, tuple[Item, ...]]:
    """What is due in a month's run, in the order it was written."""
    still = or_(PayItemRow.until_period == "", PayItemRow.until_period >= period)
    rows = session.scalars(
        select(PayItemRow)
        .where(
            PayItemRow.currency == currency,
            PayItemRow.from_period <= period,
            PayItemRow.ended_at.is_(None),
            or_(and_(PayItemRow.once.is_(True), PayItemRow.slip_id.is_(None)), and_(PayItemRow.once.is_(False), still)),
        )
        .order_by(PayItemRow.id)
    )
    due: dict[Payee, list[Item]] = defaultdict(list)
    for row in rows:
        kind = "bonus" if row.kind == "bonus" else "deduction"
        due[payee_of(row)].append(
            Item(row.id, kind, row.words, row.amount_minor, row.taxable, row.carried_from)  # type: ignore[arg-type]
        )
    return {payee: tuple(items) for payee, items in due.items()}


def payee_of(row: PayItemRow | PayslipRow) -> Payee:
    if row.employee_id is not None:
        return Payee("employee", row.employee_id)
    assert row.agent_id is not None
    return Payee("agent", row.agent_id)


def belongs_to(row: type[PayItemRow] | type[PayslipRow], payee: Payee) -> ColumnElement[bool]:
    return (row.employee_id if payee.kind == "employee" else row.agent_id) == payee.id


def items(session: Session, payee: Payee, *, limit: int = 200) -> list[ItemView]:
    """Somebody's bonuses and deductions, newest first."""
    rows = session.scalars(
        select(PayItemRow).where(belongs_to(PayItemRow, payee)).order_by(PayItemRow.id.desc()).limit(limit)
    )
    return [item_view(row) for row in rows]


def item_view(row: PayItemRow) -> ItemView:
    return ItemView(
        id=row.id,
        payee=payee_of(row),
        kind="bonus" if row.kind == "bonus" else "deduction",
        words=row.words,
        amount=Money(row.amount_minor, row.currency),
        taxable=row.taxable,
        once=row.once,
        from_period=row.from_period,
        until_period=row.until_period,
        carried_from=row.carried_from,
        made_by=row.made_by,
        made_at=row.made_at,
        ended_by=row.ended_by,
        slip_id=row.slip_id,
    )


# -- rates


def rates_view(row: PayRatesRow) -> RatesView:
    return RatesView(
        id=row.id,
        version=row.version,
        from_period=row.from_period,
        rates=read_rates(row.body, row.currency),
        body=row.body,
        made_by=row.made_by,
        made_at=row.made_at,
        confirmed_by=row.confirmed_by,
        confirmed_at=row.confirmed_at,
        confirmation=row.confirmation,
    )


def rates_in_force(session: Session, currency: str, period: str) -> RatesView | None:
    """Of the versions that have begun, the one that began last; of two of one month the newer."""
    row = session.scalars(
        select(PayRatesRow)
        .where(PayRatesRow.currency == currency, PayRatesRow.from_period <= period)
        .order_by(PayRatesRow.from_period.desc(), PayRatesRow.version.desc())
        .limit(1)
    ).first()
    return rates_view(row) if row is not None else None


def all_rates(session: Session, *, limit: int = 50) -> list[RatesView]:
    """Every version, newest first."""
    return [
        rates_view(row) for row in session.scalars(select(PayRatesRow).order_by(PayRatesRow.id.desc()).limit(limit))
    ]


# -- runs


def runs(
    session: Session, *, run_id: int | None = None, before_id: int | None = None, limit: int = 24
) -> list[RunView]:
    """Newest first, each with the sums of its slips."""
    sums = (
        select(
            PayslipRow.run_id,
            func.count().label("slips"),
            func.count(PayslipRow.number).label("done"),
            func.count(PayslipRow.paid_at).label("paid"),
            *(
                func.coalesce(func.sum(column), 0).label(name)
                for name, column in (
                    ("gross", PayslipRow.gross_minor),
                    ("deducted", PayslipRow.deducted_minor),
                    ("net", PayslipRow.net_minor),
                    ("employer", PayslipRow.employer_minor),
                )
            ),
        )
        .group_by(PayslipRow.run_id)
        .subquery()
    )
    chosen = select(PayrollRunRow).order_by(PayrollRunRow.id.desc()).limit(limit)
    if run_id is not None:
        chosen = chosen.where(PayrollRunRow.id == run_id)
    if before_id is not None:
        chosen = chosen.where(PayrollRunRow.id < before_id)
    rows = list(session.scalars(chosen))
    found = {
        row.run_id: row for row in session.execute(select(sums).where(sums.c.run_id.in_([run.id for run in rows])))
    }
    return [_run_view(run, found.get(run.id)) for run in rows]


def _run_view(run: PayrollRunRow, sums: object) -> RunView:
    def of(name: str) -> int:
        return int(getattr(sums, name, 0) or 0)

    return RunView(
        id=run.id,
        period=run.period,
        currency=run.currency,
        state=run.state,  # type: ignore[arg-type]
        version=run.version,
        opened_by=run.opened_by,
        opened_at=run.opened_at,
        computed_by=run.computed_by,
        computed_at=run.computed_at,
        closed_by=run.closed_by,
        closed_at=run.closed_at,
        commission_until=run.commission_until,
        rates_id=run.rates_id,
        slips=of("slips"),
        done=of("done"),
        paid=of("paid"),
        gross=Money(of("gross"), run.currency),
        deducted=Money(of("deducted"), run.currency),
        net=Money(of("net"), run.currency),
        employer=Money(of("employer"), run.currency),
    )


def locked_run(session: Session, run_id: int) -> PayrollRunRow | None:
    return session.get(PayrollRunRow, run_id, with_for_update={"key_share": True}, populate_existing=True)


def looks(session: Session, run_id: int, *, limit: int = 100) -> list[Look]:
    """Newest first."""
    rows = session.scalars(
        select(PayrollLookRow).where(PayrollLookRow.run_id == run_id).order_by(PayrollLookRow.id.desc()).limit(limit)
    )
    return [Look(row.by, row.at, row.version, row.note, row.sent_back) for row in rows]


def has_looked(session: Session, run_id: int, version: int, by: str) -> bool:
    found = select(PayrollLookRow.id).where(
        PayrollLookRow.run_id == run_id,
        PayrollLookRow.version == version,
        PayrollLookRow.by == by,
        PayrollLookRow.sent_back.is_(False),
    )
    return session.scalar(found.limit(1)) is not None


def newest_closed(session: Session, currency: str, *, with_employees: bool = False) -> str:
    """The last month that was closed (or is being closed) in this currency, '' for none."""
    found = select(func.max(PayrollRunRow.period)).where(
        PayrollRunRow.currency == currency, PayrollRunRow.state.in_(("closing", "closed"))
    )
    if with_employees:
        found = found.where(PayrollRunRow.rates_id.is_not(None))
    return session.scalar(found) or ""


# -- payslips


def slips(
    session: Session,
    *,
    run_id: int | None = None,
    payee: Payee | None = None,
    slip_id: int | None = None,
    after: int = 0,
    limit: int = 100,
) -> list[SlipView]:
    """A run's in the order of people; somebody's own, newest first; or one."""
    wanted = select(PayslipRow, PayrollRunRow).join(PayrollRunRow, PayrollRunRow.id == PayslipRow.run_id).limit(limit)
    if slip_id is not None:
        wanted = wanted.where(PayslipRow.id == slip_id)
    if payee is not None:
        wanted = wanted.where(belongs_to(PayslipRow, payee), PayrollRunRow.state != "cancelled")
        wanted = wanted.order_by(PayrollRunRow.period.desc(), PayslipRow.id.desc())
    else:
        # Employees first: whoever has no agent's number sorts before those who have one.
        kind = case((PayslipRow.agent_id.is_(None), 0), else_=1)
        wanted = wanted.order_by(kind, PayslipRow.staff_number, PayslipRow.id).offset(after)
    if run_id is not None:
        wanted = wanted.where(PayslipRow.run_id == run_id)
    return [_slip_view(slip, run) for slip, run in session.execute(wanted)]


def _slip_view(slip: PayslipRow, run: PayrollRunRow) -> SlipView:
    return SlipView(
        id=slip.id,
        run_id=run.id,
        period=run.period,
        state=run.state,  # type: ignore[arg-type]
        payee=payee_of(slip),
        number=slip.number or "",
        name=slip.name,
        staff_number=slip.staff_number,
        job=slip.job,
        agency=slip.agency,
        language=slip.language,
        email=slip.email,
        pay_to=slip.pay_to,
        gross=Money(slip.gross_minor, slip.currency),
        deducted=Money(slip.deducted_minor, slip.currency),
        net=Money(slip.net_minor, slip.currency),
        employer=Money(slip.employer_minor, slip.currency),
        paid_at=slip.paid_at,
        paid_reference=slip.paid_reference,
    )


def lines_of(session: Session, slip_ids: Iterable[int]) -> dict[int, list[Line]]:
    """slip → its lines in order. One statement."""
    found: dict[int, list[Line]] = defaultdict(list)
    rows = session.scalars(
        select(PayslipLineRow)
        .where(PayslipLineRow.slip_id.in_(list(slip_ids)))
        .order_by(PayslipLineRow.slip_id, PayslipLineRow.position)
    )
    for row in rows:
        found[row.slip_id].append(line_of(row))
    return found


def line_of(row: PayslipLineRow) -> Line:
    return Line(
        side=row.side,  # type: ignore[arg-type]
        kind=row.kind,  # type: ignore[arg-type]
        amount_minor=row.amount_minor,
        asked_minor=row.asked_minor,
        label=row.label,
        levy=row.levy,
        item_id=row.item_id,
        basis=row.basis,
    )


def unnumbered(session: Session, run_id: int, *, limit: int) -> Sequence[PayslipRow]:
    """Slips of a run that closing has not come to yet, in the order of people."""
    kind = case((PayslipRow.agent_id.is_(None), 0), else_=1)
    return session.scalars(
        select(PayslipRow)
        .where(PayslipRow.run_id == run_id, PayslipRow.number.is_(None))
        .order_by(kind, PayslipRow.staff_number, PayslipRow.id)
        .limit(limit)
        .execution_options(populate_existing=True)
    ).all()


def year_to_date(session: Session, slip: PayslipRow, period: str) -> int:
    """Net of the year up to and with this month, of slips with a number, in minor units."""
    whose = (
        PayslipRow.employee_id == slip.employee_id
        if slip.employee_id is not None
        else PayslipRow.agent_id == slip.agent_id
    )
    return int(
        session.scalar(
            select(func.coalesce(func.sum(PayslipRow.net_minor), 0))
            .join(PayrollRunRow, PayrollRunRow.id == PayslipRow.run_id)
            .where(
                whose,
                PayslipRow.currency == slip.currency,
                PayslipRow.number.is_not(None),
                PayrollRunRow.period.between(f"{period[:4]}-01", period),
            )
        )
        or 0
    )
