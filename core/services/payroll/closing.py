"""What closing a run does to each slip: a number, the books, the paper, the e-mail. In the caller's transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import outbox
from core.billing.queries import next_number
from core.documents.drawing import period_text
from core.kernel.clock import WEST, Clock, local_date
from core.kernel.money import Money
from core.notices.mailing import stage_email
from core.payroll import queries, rules
from core.payroll.model import Line
from core.payroll.tables import PayItemRow, PayrollRunRow, PayslipRow
from core.settlement import post
from core.settlement.events import PayPaid, PayslipClosed

# A slip takes a few milliseconds, and SQLite has one writer: customers' turns must get in between.
_SLIPS_AT_ONCE = 5


def close_some(session: Session, run: PayrollRunRow, clock: Clock) -> int:
    """The next slips of a run that is locked and closing; how many. The run is closed when none is left."""
    slips = queries.unnumbered(session, run.id, limit=_SLIPS_AT_ONCE)
    lines = queries.lines_of(session, [slip.id for slip in slips])
    for slip in slips:
        _close(session, run, slip, lines.get(slip.id, []), clock)
    if len(slips) < _SLIPS_AT_ONCE:
        run.state = "closed"
    session.flush()
    return len(slips)


def _close(session: Session, run: PayrollRunRow, slip: PayslipRow, lines: Sequence[Line], clock: Clock) -> None:
    assert run.closed_at is not None
    year = local_date(run.closed_at, WEST).year
    slip.number = f"P{year}-{next_number(session, f'payslip:{year}'):06d}"
    session.flush()
    _take_items(session, run, slip, lines, clock)
    if any(line.amount_minor for line in lines):
        post(session, _event(run, slip, lines), clock=clock)
    outbox.stage(
        session,
        kind="document.payslip",
        key=f"payslip:{slip.id}",
        body={"payslip_id": slip.id},
        clock=clock,
    )
    if slip.email:
        stage_email(
            session,
            clock=clock,
            kind="payslip.ready",
            key=f"payslip:{slip.id}",
            recipient=slip.email,
            name=slip.name,
            language=slip.language,
            blanks={"period": period_text(run.period), "amount": Money(slip.net_minor, slip.currency).text},
            zone=WEST,
            paper=str(slip.id),
        )


def _event(run: PayrollRunRow, slip: PayslipRow, lines: Sequence[Line]) -> PayslipClosed:
    def of(*kinds: str) -> int:
        return sum(line.amount_minor for line in lines if line.kind in kinds)

    def levies(side: str) -> tuple[tuple[str, int], ...]:
        sums: dict[str, int] = defaultdict(int)
        for line in lines:
            if line.levy and line.side == side:
                sums[line.levy] += line.amount_minor
        return tuple(sorted((levy, minor) for levy, minor in sums.items() if minor))

    return PayslipClosed(
        key=f"payslip:{slip.id}",
        actor=run.closed_by,
        memo=slip.number or "",
        payslip_id=slip.id,
        payee=queries.payee_of(slip).owner,
        currency=slip.currency,
        salary_minor=of("base", "bonus"),
        withheld=levies("deduction"),
        employer=levies("employer"),
        deducted_minor=of("deduction"),
        agent_id=slip.agent_id,
        commission_minor=of("commission"),
        commission_back_minor=of("commission_back"),
        to_float_minor=of("float_debt"),
    )


def _take_items(session: Session, run: PayrollRunRow, slip: PayslipRow, lines: Sequence[Line], clock: Clock) -> None:
    """What was due once is done; what there was not enough for is due in the next run."""
    on_slip = {line.item_id: line for line in lines if line.item_id is not None}
    rows = session.scalars(select(PayItemRow).where(PayItemRow.id.in_(list(on_slip))).order_by(PayItemRow.id))
    for item in rows.all():
        line = on_slip[item.id]
        if item.once:
            item.slip_id = slip.id
        rest = line.asked_minor - line.amount_minor
        if rest <= 0:
            continue
        session.add(
            PayItemRow(
                employee_id=slip.employee_id,
                agent_id=slip.agent_id,
                kind="deduction",
                words=item.words,
                amount_minor=rest,
                currency=item.currency,
                once=True,
                from_period=rules.next_period(run.period),
                carried_from=item.carried_from or run.period,
                carried_slip_id=slip.id,
                carried_item_id=item.id,
                made_at=clock.now(),
                made_by="payroll",
            )
        )
    session.flush()


def pay_some(
    session: Session, run: PayrollRunRow, reference: str, *, by: str, slip_id: int | None, clock: Clock
) -> int:
    """Book the next slips of a locked, closed run as paid by the bank; how many."""
    wanted = select(PayslipRow).where(
        PayslipRow.run_id == run.id, PayslipRow.paid_at.is_(None), PayslipRow.net_minor > 0
    )
    if slip_id is not None:
        wanted = wanted.where(PayslipRow.id == slip_id)
    slips = session.scalars(wanted.order_by(PayslipRow.number).limit(_SLIPS_AT_ONCE)).all()
    for slip in slips:
        amount = Money(slip.net_minor, slip.currency)
        owner = queries.payee_of(slip).owner
        event = PayPaid(
            key=f"payslip:{slip.id}:paid", actor=by, memo=reference, payslip_id=slip.id, payee=owner, amount=amount
        )
        post(session, event, clock=clock)
        slip.paid_at, slip.paid_by, slip.paid_reference = clock.now(), by, reference
    session.flush()
    return len(slips)
