"""One invoice with all that is known of it. A fixed number of statements."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from itertools import groupby

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.billing.credit_queries import left_to_credit
from core.billing.run_tables import CreditNoteRow, InvoiceMeasureRow
from core.billing.tables import InvoiceLineRow, InvoiceRow, ReminderRow, TariffRow
from core.cases.tables import CaseRow
from core.customers.tables import ContractRow, CustomerRow, SiteRow
from core.desk.invoice_model import (
    ActView,
    DisputeView,
    InvoiceView,
    LetterView,
    LineView,
    MeasureView,
    MoveView,
    NoteView,
    StepView,
)
from core.desk.invoices import as_entries, invoices
from core.kernel.money import Money
from core.ledger.tables import AccountRow, JournalRow, TransferRow
from core.notices.tables import NoticeRow
from core.payments.tables import PaymentRow
from core.staff.tables import AuditRow

_MOST = 60


def invoice(session: Session, invoice_id: int, *, now: datetime, today: date, overdue_days: int) -> InvoiceView | None:
    """None when there is none."""
    found = session.execute(invoices().where(InvoiceRow.id == invoice_id)).all()
    if not found:
        return None
    row: InvoiceRow = found[0][0]
    (entry,) = as_entries(session, found, now=now, today=today, overdue_days=overdue_days)
    kind, language, site = session.execute(
        select(ContractRow.kind, CustomerRow.language, SiteRow)
        .join(CustomerRow, CustomerRow.id == ContractRow.customer_id)
        .join(SiteRow, SiteRow.id == ContractRow.site_id)
        .where(ContractRow.id == row.contract_id)
    ).one()
    notes = _notes(session, row)
    return InvoiceView(
        entry=entry,
        contract_id=row.contract_id,
        kind=kind,
        language=language,
        address=f"{site.address}, {site.commune}, {site.city}",
        zone=site.time_zone,
        tax=Money(row.tax_minor, row.currency),
        paid=Money(row.paid_minor, row.currency),
        left=left_to_credit(session, row),
        cycle=row.cycle,
        besides=row.besides,
        by_hand=row.run_id is None,
        run_id=row.run_id,
        from_on=row.from_on,
        until_on=row.until_on,
        explained=tuple(row.explained or ()),
        before=_before(session, row),
        lines=_lines(session, row),
        measure=_measure(session, row),
        notes=notes,
        moves=_moves(session, row),
        steps=_steps(session, row),
        letters=_letters(session, row),
        disputes=_disputes(session, row),
        sent_by=_sent_by(session, row),
        acts=_acts(session, row),
    )


def subject_of(invoice_id: int) -> str:
    """What acts on an invoice are called by in the audit log: a draft has no number yet."""
    return f"invoice {invoice_id}"


def _before(session: Session, row: InvoiceRow) -> tuple[int, str] | None:
    if row.besides:
        return None
    found = session.execute(
        select(InvoiceRow.id, InvoiceRow.number)
        .where(
            InvoiceRow.contract_id == row.contract_id,
            InvoiceRow.period < row.period,
            InvoiceRow.state != "cancelled",
            InvoiceRow.besides.is_(False),
        )
        .order_by(InvoiceRow.period.desc(), InvoiceRow.id.desc())
        .limit(1)
    ).first()
    return (found[0], found[1]) if found else None


def _lines(session: Session, row: InvoiceRow) -> tuple[LineView, ...]:
    found = session.execute(
        select(InvoiceLineRow, TariffRow.code, TariffRow.valid_from)
        .outerjoin(TariffRow, TariffRow.id == InvoiceLineRow.tariff_id)
        .where(InvoiceLineRow.invoice_id == row.id)
        .order_by(InvoiceLineRow.position)
        .limit(_MOST)
    )
    return tuple(
        LineView(
            position=line.position,
            label=line.label,
            quantity=line.quantity,
            price=line.price or "",
            amount=Money(line.amount_minor, row.currency),
            levy=line.levy,
            tariff=code or "",
            tariff_from=valid_from,
            from_on=line.from_on,
            until_on=line.until_on,
        )
        for line, code, valid_from in found
    )


def _measure(session: Session, row: InvoiceRow) -> MeasureView | None:
    found = session.get(InvoiceMeasureRow, row.id)
    if found is None:
        return None
    return MeasureView(
        found.meter_id,
        found.from_at,
        found.until_at,
        found.from_wh,
        found.until_wh,
        found.until_measured_wh,
        found.estimated,
    )


def _notes(session: Session, row: InvoiceRow) -> tuple[NoteView, ...]:
    found = session.scalars(
        select(CreditNoteRow).where(CreditNoteRow.invoice_id == row.id).order_by(CreditNoteRow.id).limit(_MOST)
    )
    return tuple(
        NoteView(
            one.number,
            Money(one.amount_minor, one.currency),
            Money(one.tax_minor, one.currency),
            one.reason,
            one.issued_at,
            one.issued_by,
        )
        for one in found
    )


def _moves(session: Session, row: InvoiceRow) -> tuple[MoveView, ...]:
    """What its balance was lowered and raised by, oldest first. Uses ix_transfer_invoice_id."""
    found = session.execute(
        select(TransferRow, JournalRow, AccountRow.code, PaymentRow)
        .join(JournalRow, JournalRow.id == TransferRow.journal_id)
        .join(AccountRow, AccountRow.id == TransferRow.credit_account_id)
        .outerjoin(PaymentRow, PaymentRow.id == TransferRow.payment_id)
        .where(TransferRow.invoice_id == row.id)
        .order_by(TransferRow.at, TransferRow.id)
        .limit(_MOST)
    )
    moves = [
        MoveView(
            at=transfer.at,
            # Sending an invoice uses the contract's credit on it: that is the part which names the invoice.
            kind="credit_applied" if journal.kind == "invoice_sent" else journal.kind,
            amount=Money(transfer.amount_minor, transfer.currency),
            lowers=code == "receivable",
            actor=journal.actor,
            memo=journal.memo,
            payment_id=payment.id if payment else None,
            receipt=payment.receipt_number if payment else "",
            wallet=payment.wallet if payment else "",
            attempt_id=payment.attempt_id if payment else None,
        )
        for transfer, journal, code, payment in found
        # What it came to when it was sent is no movement of its balance.
        if journal.kind != "invoice_sent" or code == "receivable"
    ]
    return tuple(
        replace(same[0], amount=Money(sum(one.amount.minor for one in same), row.currency)) for same in _one_act(moves)
    )


def _one_act(moves: list[MoveView]) -> list[list[MoveView]]:
    """A credit note gives back each levy by itself, money pays them together: what people see as one act is one."""

    def act(one: MoveView) -> tuple[datetime, str, bool, str, str]:
        return one.at, one.kind, one.lowers, one.memo, one.payment_id or ""

    return [list(same) for _, same in groupby(sorted(moves, key=act), key=act)]


def _steps(session: Session, row: InvoiceRow) -> tuple[StepView, ...]:
    found = session.execute(
        select(ReminderRow, NoticeRow.state)
        .outerjoin(NoticeRow, NoticeRow.id == ReminderRow.notice_id)
        .where(ReminderRow.invoice_id == row.id)
        .order_by(ReminderRow.id)
        .limit(_MOST)
    )
    return tuple(
        StepView(
            cycle=step.cycle,
            step=step.step,
            at=step.created_at,
            leaves_at=step.leaves_at,
            delivered_at=step.delivered_at,
            evidence=step.evidence or "",
            notice_state=state or "",
            cut_on=step.cut_on,
        )
        for step, state in found
    )


def _letters(session: Session, row: InvoiceRow) -> tuple[LetterView, ...]:
    """E-mails about it. Uses ix_notice_contract_id."""
    found = session.scalars(
        select(NoticeRow)
        .where(NoticeRow.contract_id == row.contract_id, NoticeRow.invoice_id == row.id, NoticeRow.channel == "email")
        .order_by(NoticeRow.created_at.desc())
        .limit(_MOST)
    )
    return tuple(LetterView(one.created_at, one.kind, one.recipient, one.state, one.detail) for one in found)


def _disputes(session: Session, row: InvoiceRow) -> tuple[DisputeView, ...]:
    """Uses ix_customer_case_contract_id."""
    found = session.scalars(
        select(CaseRow)
        .where(CaseRow.contract_id == row.contract_id, CaseRow.invoice_id == row.id)
        .order_by(CaseRow.opened_at.desc())
        .limit(_MOST)
    )
    return tuple(DisputeView(one.number, one.state, one.opened_at, one.body) for one in found)


def _sent_by(session: Session, row: InvoiceRow) -> str:
    return session.scalar(select(JournalRow.actor).where(JournalRow.key == f"invoice:{row.id}:sent")) or ""


def _acts(session: Session, row: InvoiceRow) -> tuple[ActView, ...]:
    """Uses ix_audit_log_subject."""
    found = session.scalars(
        select(AuditRow).where(AuditRow.subject == subject_of(row.id)).order_by(AuditRow.id.desc()).limit(_MOST)
    )
    return tuple(ActView(one.at, one.actor, one.act, one.detail) for one in found)
