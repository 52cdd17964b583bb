"""Questions and changes about cases. Session first; no commit."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Select, func, select, text
from sqlalchemy.orm import Session

from core.billing.tables import HoldRow, InvoiceRow
from core.cases.model import CaseCounts, CaseFile, CaseLine, CaseNote
from core.cases.rules import JOIN_WITHIN
from core.cases.tables import CaseNoteRow, CaseRow
from core.customers.tables import ContractRow, CustomerRow, SiteRow
from core.db.locks import lock_names
from core.notices.tables import NoticeRow

# A literal, as in the partial index: a bound parameter may miss it.
_LIVE = text("customer_case.state <> 'closed'")


def locked(session: Session, number: str) -> CaseRow | None:
    """One case, locked until the caller commits."""
    return session.scalars(
        select(CaseRow)
        .where(CaseRow.number == number)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).first()


def written(session: Session, key: str) -> str | None:
    """The number of the case whose history has a line under this key, None when there is none yet."""
    return session.scalar(
        select(CaseRow.number).join(CaseNoteRow, CaseNoteRow.case_id == CaseRow.id).where(CaseNoteRow.key == key)
    )


def to_join(
    session: Session, *, kind: str, contract_id: int | None, invoice_id: int | None, phone: str | None, now: datetime
) -> CaseRow | None:
    """The live case that a report of now belongs to: same kind, same contract (and bill), or without a contract the
    same phone; opened within JOIN_WITHIN. Locked.

    Two reports at once are one case: the caller holds the contract's row, and without a contract its phone is locked
    here until the caller commits.
    """
    if contract_id is None:
        lock_names(session, f"case:{kind}:{phone}")
    same = (
        (CaseRow.contract_id == contract_id) & CaseRow.invoice_id.is_not_distinct_from(invoice_id)
        if contract_id is not None
        else (CaseRow.phone == phone) & CaseRow.contract_id.is_(None)
    )
    return session.scalars(
        select(CaseRow)
        .where(same, CaseRow.kind == kind, CaseRow.opened_at > now - JOIN_WITHIN, _LIVE)
        .order_by(CaseRow.id.desc())
        .limit(1)
        .with_for_update(key_share=True)
    ).first()


def add_note(
    session: Session, case: CaseRow, *, key: str, at: datetime, by: str, kind: str, words: str = "",
    notice_id: int | None = None,
) -> None:  # fmt: skip
    session.add(CaseNoteRow(case_id=case.id, key=key, at=at, by=by, kind=kind, text=words, notice_id=notice_id))
    session.flush()


def lines(
    session: Session, *, view: str = "live", kind: str | None = None, assigned_to: str | None = None, limit: int
) -> tuple[CaseLine, ...]:
    """Cases by `view`: `live` (what nobody took first, oldest first), `all` (newest first), or one state."""
    wanted = _lines()
    if view == "live":
        untaken = CaseRow.state != "open"
        wanted = wanted.where(_LIVE).order_by(untaken, CaseRow.opened_at, CaseRow.id)
    else:
        wanted = wanted.order_by(CaseRow.opened_at.desc(), CaseRow.id.desc())
        wanted = wanted if view == "all" else wanted.where(CaseRow.state == view)
    if kind is not None:
        wanted = wanted.where(CaseRow.kind == kind)
    if assigned_to is not None:
        wanted = wanted.where(CaseRow.assigned_to == assigned_to)
    return tuple(_line(*row) for row in session.execute(wanted.limit(limit)))


def file_of(session: Session, number: str) -> CaseFile | None:
    """One case with its history."""
    row = session.execute(_lines().where(CaseRow.number == number)).first()
    if row is None:
        return None
    notes = session.execute(
        select(CaseNoteRow.at, CaseNoteRow.by, CaseNoteRow.kind, CaseNoteRow.text, NoticeRow.state)
        .outerjoin(NoticeRow, NoticeRow.id == CaseNoteRow.notice_id)
        .where(CaseNoteRow.case_id == row[0].id)
        .order_by(CaseNoteRow.id)
    )
    return CaseFile(_line(*row), tuple(CaseNote(*note) for note in notes))


def counts(session: Session) -> CaseCounts:
    """Those that are not closed. Uses ix_customer_case_live."""
    rows = session.execute(
        select(CaseRow.state, func.count(), func.min(CaseRow.opened_at)).where(_LIVE).group_by(CaseRow.state)
    )
    found = {state: (int(count), oldest) for state, count, oldest in rows}

    def of(state: str) -> int:
        return found.get(state, (0, None))[0]

    return CaseCounts(of("open"), of("taken"), of("answered"), found.get("open", (0, None))[1])


def _lines() -> Select[CaseRow, str | None, str | None, int | None, str | None, str | None, datetime | None]:
    return (
        select(
            CaseRow,
            ContractRow.account_number,
            SiteRow.time_zone,
            CustomerRow.id,
            CustomerRow.name,
            InvoiceRow.number,
            HoldRow.until_at,
        )
        .outerjoin(ContractRow, ContractRow.id == CaseRow.contract_id)
        .outerjoin(SiteRow, SiteRow.id == ContractRow.site_id)
        .outerjoin(CustomerRow, CustomerRow.id == ContractRow.customer_id)
        .outerjoin(InvoiceRow, InvoiceRow.id == CaseRow.invoice_id)
        .outerjoin(HoldRow, HoldRow.id == CaseRow.hold_id)
    )


def _line(
    row: CaseRow,
    account: str | None,
    zone: str | None,
    customer_id: int | None,
    name: str | None,
    invoice: str | None,
    held_until: datetime | None,
) -> CaseLine:
    return CaseLine(
        number=row.number,
        kind=row.kind,
        state=row.state,
        source=row.source,
        customer_id=customer_id,
        customer=name or "",
        account=account,
        zone=zone,
        invoice=invoice,
        phone=row.phone,
        language=row.language,
        body=row.body,
        reports=row.reports,
        assigned_to=row.assigned_to,
        opened_at=row.opened_at,
        opened_by=row.opened_by,
        closed_at=row.closed_at,
        closed_by=row.closed_by,
        close_reason=row.close_reason,
        held_until=held_until,
    )
