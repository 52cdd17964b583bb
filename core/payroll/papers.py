"""What stands on the paper of a payslip."""

from __future__ import annotations

from sqlalchemy.orm import Session

from core.documents.payslip import PayLine, PayslipFacts
from core.i18n import N_, translate
from core.kernel.clock import WEST, local_date
from core.kernel.money import Money
from core.payroll import queries
from core.payroll.labels import basis_of, label_of
from core.payroll.model import Line
from core.payroll.tables import PayrollRunRow, PayslipRow

# An agent has no job among ours.
AGENT = N_("Agent")


def payslip_facts(session: Session, subject: str) -> tuple[PayslipFacts, str] | None:
    """The facts of a payslip and the payee's language; a draft while it has no number. None for an id that nobody has,
    or whose run was given up. `utility` is left to who draws it."""
    slip = session.get(PayslipRow, int(subject)) if subject.isdecimal() and len(subject) < 19 else None
    run = session.get(PayrollRunRow, slip.run_id) if slip is not None else None
    if slip is None or run is None or run.state == "cancelled":
        return None
    numbered = slip.number is not None and run.closed_at is not None
    lines = queries.lines_of(session, [slip.id])[slip.id]

    def side(name: str) -> tuple[PayLine, ...]:
        return tuple(_line(line, slip) for line in lines if line.side == name)

    facts = PayslipFacts(
        utility="",
        number=slip.number or "",
        period=run.period,
        closed_on=local_date(run.closed_at, WEST) if numbered and run.closed_at else None,
        name=slip.name,
        staff_number=slip.staff_number,
        role=slip.job or translate(AGENT, slip.language),
        agency=slip.agency,
        earnings=side("earning"),
        deductions=side("deduction"),
        currency=slip.currency,
        paid_by=slip.pay_to,
        year_to_date=Money(queries.year_to_date(session, slip, run.period), slip.currency) if numbered else None,
    )
    return facts, slip.language


def _line(line: Line, slip: PayslipRow) -> PayLine:
    amount = Money(line.amount_minor, slip.currency)
    return PayLine(label_of(line, slip.language), amount, basis_of(line, slip.currency, slip.language))
