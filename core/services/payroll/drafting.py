"""What a run's payslips are as things stand: computed from employees, agents, the ledger, rates and what is due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from core.payroll import queries, rules
from core.payroll.model import Item, Line, Payee, PayInputs, RatesView
from core.payroll.tables import PayrollRunRow, PayslipLineRow, PayslipRow


@dataclass(frozen=True, slots=True)
class Draft:
    """One slip to be. `job` is '' for an agent."""

    payee: Payee
    name: str
    staff_number: str
    job: str
    agency: str
    language: str
    email: str
    pay_to: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Drafted:
    """`rates` None: nobody is on a salary in this currency, or there are none."""

    slips: tuple[Draft, ...]
    rates: RatesView | None
    salaried: bool


def draft(session: Session, currency: str, period: str, commission_until: datetime) -> Drafted:
    """Everybody's slip of a month, employees by number, then agents by code. Six statements, however many people."""
    rates = queries.rates_in_force(session, currency, period)
    due = queries.items_due(session, currency, period)
    salaried = _employees(session, currency, period, rates, due)
    agents = _agents(session, currency, commission_until, rates, due)
    return Drafted((*salaried, *agents), rates, bool(salaried))


def _employees(
    session: Session, currency: str, period: str, rates: RatesView | None, due: Mapping[Payee, tuple[Item, ...]]
) -> list[Draft]:
    drafts = []
    for row, agency in queries.employees_of(session, currency):
        days, of_days = rules.days_employed(period, row.starts_on, row.ends_on)
        payee = Payee("employee", row.id)
        # Somebody who has left may still be owed, or owe, what was written down since.
        if days == 0 and payee not in due:
            continue
        inputs = PayInputs(
            "employee",
            currency,
            base_minor=row.base_minor,
            days=days,
            of_days=of_days,
            dependants=row.dependants,
            items=due.get(payee, ()),
        )
        lines = rules.compute(inputs, rates.rates if rates else None)
        drafts.append(Draft(payee, row.name, row.number, row.job, agency, row.language, row.email, row.pay_to, lines))
    return drafts


def _agents(
    session: Session, currency: str, until: datetime, rates: RatesView | None, due: Mapping[Payee, tuple[Item, ...]]
) -> list[Draft]:
    owed, debts = queries.commission_owed(session, currency, until), queries.float_debts(session, currency)
    drafts = []
    for row, agency, language in queries.agents_of(session, currency):
        payee = Payee("agent", row.id)
        inputs = PayInputs(
            "agent",
            currency,
            commission_minor=owed.get(row.id, 0),
            float_debt_minor=debts.get(row.id, 0),
            items=due.get(payee, ()),
        )
        lines = rules.compute(inputs, rates.rates if rates else None)
        if rules.worth_a_slip(lines):
            drafts.append(Draft(payee, row.name, row.code, "", agency, language, "", "", lines))
    return drafts


def write(session: Session, run: PayrollRunRow, slips: Sequence[Draft]) -> None:
    """Put these in the place of the run's slips. Somebody's slip keeps its id from one computation to the next."""
    known = {
        queries.payee_of(row): row for row in session.scalars(select(PayslipRow).where(PayslipRow.run_id == run.id))
    }
    session.execute(delete(PayslipLineRow).where(PayslipLineRow.slip_id.in_([row.id for row in known.values()])))
    for payee in known.keys() - {one.payee for one in slips}:
        session.delete(known.pop(payee))
    rows = []
    for one in slips:
        row = known.get(one.payee)
        if row is None:
            row = PayslipRow(
                run_id=run.id,
                currency=run.currency,
                employee_id=one.payee.id if one.payee.kind == "employee" else None,
                agent_id=one.payee.id if one.payee.kind == "agent" else None,
            )
            session.add(row)
        _fill(row, one)
        rows.append(row)
    session.flush()
    lines = [
        _line_values(row.id, position, line)
        for row, one in zip(rows, slips, strict=True)
        for position, line in enumerate(one.lines)
    ]
    if lines:
        session.execute(insert(PayslipLineRow), lines)


def _fill(row: PayslipRow, one: Draft) -> None:
    row.name, row.staff_number, row.job, row.agency = one.name, one.staff_number, one.job, one.agency
    row.language, row.email, row.pay_to = one.language, one.email, one.pay_to
    sums = rules.totals(one.lines)
    row.gross_minor, row.deducted_minor = sums.gross_minor, sums.deducted_minor
    row.net_minor, row.employer_minor = sums.net_minor, sums.employer_minor


def _line_values(slip_id: int, position: int, line: Line) -> dict[str, object]:
    return {
        "slip_id": slip_id,
        "position": position,
        "side": line.side,
        "kind": line.kind,
        "label": line.label,
        "levy": line.levy,
        "amount_minor": line.amount_minor,
        "asked_minor": line.asked_minor,
        "item_id": line.item_id,
        "basis": dict(line.basis),
    }


def as_written(session: Session, run: PayrollRunRow) -> dict[Payee, tuple[Line, ...]]:
    """The lines of a run's slips as they stand in the database."""
    rows = {
        row.id: queries.payee_of(row) for row in session.scalars(select(PayslipRow).where(PayslipRow.run_id == run.id))
    }
    lines = queries.lines_of(session, rows)
    return {payee: tuple(lines.get(slip_id, ())) for slip_id, payee in rows.items()}
