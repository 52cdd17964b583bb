"""One customer's story in order, newest first, a page at a time: what the phone showed, what money did, what we said.

Each source is asked for a page of its own; the pages are merged and cut. Nothing is read that the page will not show.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, or_, select, tuple_
from sqlalchemy.orm import Session

from core.billing.tables import DunningDecisionRow, InvoiceRow, ReminderRow
from core.customers.tables import ContractRow, PhoneLinkRow
from core.desk.model import (
    KINDS,
    Billed,
    Crew,
    Decided,
    Dial,
    Dunned,
    Entry,
    Report,
    Screen,
    Step,
    Story,
    Switched,
    Told,
)
from core.desk.story_cases import promised, reported
from core.desk.story_money import asked, paid
from core.desk.story_prepaid import issued
from core.desk.story_scope import Page, Scope
from core.desk.story_texts import wrote
from core.desk.story_work import abandoned
from core.kernel.money import Money
from core.notices.tables import DeliveryReportRow, NoticeRow
from core.supply.tables import CrewTaskRow, RelayCommandEventRow, RelayCommandRow
from core.turns.tables import SessionEndRow, TurnRow

_SCREENS_MAX = 60


def scope_of(session: Session, customer_id: int, *, ahead: timedelta, limit: int) -> Scope:
    """Whose story it is: contracts by id, phones that speak for the customer, phones that only claim to."""
    contracts = session.execute(
        select(ContractRow.id, ContractRow.account_number)
        .where(ContractRow.customer_id == customer_id)
        .order_by(ContractRow.id.desc())
        .limit(limit)
    )
    links = session.execute(
        select(PhoneLinkRow.phone, PhoneLinkRow.confirmed_at)
        .where(PhoneLinkRow.customer_id == customer_id)
        .limit(limit)
    ).all()
    return Scope(
        accounts={row[0]: row[1] for row in contracts},
        phones=tuple(phone for phone, confirmed_at in links if confirmed_at is not None),
        claimed=tuple(phone for phone, confirmed_at in links if confirmed_at is None),
        ahead=ahead,
    )


def story(session: Session, scope: Scope, *, kinds: Sequence[str], before: datetime | None, limit: int) -> Story:
    """`kinds`: which of KINDS to show. `before`: go on from there."""
    page = Page(before, limit + 1)
    entries: list[Entry] = []
    for kind in kinds:
        for source in SOURCES[kind]:
            entries += source(session, scope, page)
    entries.sort(key=lambda entry: (entry.at, KINDS.index(entry.kind)), reverse=True)
    if len(entries) <= limit:
        return Story(tuple(entries), None)
    # What happened at the same instant as the last one stays with it: the next page begins before that.
    edge = entries[limit - 1].at
    return Story(tuple(entry for entry in entries if entry.at >= edge), edge)


def _dials(session: Session, scope: Scope, page: Page) -> list[Entry]:
    """USSD sessions. A phone that only claims to be the customer's shows the screens about these contracts alone."""
    about = TurnRow.contract_id.in_(scope.contract_ids)
    seen = or_(TurnRow.phone.in_(scope.phones), and_(TurnRow.phone.in_(scope.claimed), about))
    begin = func.min(TurnRow.at)
    asked_for = (
        select(TurnRow.gateway, TurnRow.session_id, TurnRow.phone, TurnRow.day)
        .where(seen)
        .group_by(TurnRow.gateway, TurnRow.session_id, TurnRow.phone, TurnRow.day)
        .order_by(begin.desc())
        .limit(page.limit)
    )
    if page.before is not None:
        asked_for = asked_for.having(begin < page.before)
    keys = [tuple(row) for row in session.execute(asked_for)]
    if not keys:
        return []
    turns: dict[tuple[object, ...], list[TurnRow]] = defaultdict(list)
    for row in session.scalars(
        select(TurnRow)
        .where(tuple_(TurnRow.gateway, TurnRow.session_id, TurnRow.phone, TurnRow.day).in_(keys), seen)
        .order_by(TurnRow.at, TurnRow.position)
        .limit(_SCREENS_MAX * len(keys))
    ):
        turns[(row.gateway, row.session_id, row.phone, row.day)].append(row)
    ends = _ends(session, keys)
    return [
        Dial(
            at=rows[0].at,
            phone=rows[0].phone,
            service_code=rows[0].service_code,
            screens=tuple(Screen(row.at, row.typed, row.screen, row.ended) for row in rows[:_SCREENS_MAX]),
            network=rows[-1].network,
            language=rows[-1].language,
            how=ends[key].how if key in ends else "",
            duration_ms=ends[key].duration_ms if key in ends else None,
        )
        for key, rows in turns.items()
    ]


def _ends(session: Session, keys: Sequence[tuple[object, ...]]) -> Mapping[tuple[object, ...], SessionEndRow]:
    """The network's news of these sessions, where it came."""
    its = (SessionEndRow.gateway, SessionEndRow.session_id, SessionEndRow.phone, SessionEndRow.day)
    rows = session.scalars(select(SessionEndRow).where(tuple_(*its).in_(keys)))
    return {(row.gateway, row.session_id, row.phone, row.day): row for row in rows}


def _billed(session: Session, scope: Scope, page: Page) -> list[Entry]:
    rows = session.scalars(
        page.cut(
            select(InvoiceRow).where(InvoiceRow.contract_id.in_(scope.contract_ids), InvoiceRow.sent_at.is_not(None)),
            InvoiceRow.sent_at,
        )
    )
    return [
        Billed(
            at=row.sent_at,
            account=scope.account(row.contract_id),
            number=row.number,
            period=row.period,
            total=Money(row.total_minor, row.currency),
            paid=Money(row.paid_minor, row.currency),
            state=_invoice_state(row),
            disputed=row.disputed,
            estimated=row.estimated,
        )
        for row in rows
        if row.sent_at is not None
    ]


def _invoice_state(row: InvoiceRow) -> str:
    """`partially_paid` and `paid` follow from the balance; they are never stored."""
    if row.state != "sent" or row.paid_minor == 0:
        return row.state
    return "paid" if row.paid_minor >= row.total_minor else "partially_paid"


def _told(session: Session, scope: Scope, page: Page) -> list[Entry]:
    """Notices about these contracts, and those to the customer's phones that are about no contract."""
    mine: ColumnElement[bool] = or_(
        NoticeRow.contract_id.in_(scope.contract_ids),
        and_(NoticeRow.recipient.in_(scope.phones), NoticeRow.contract_id.is_(None)),
    )
    rows = session.scalars(page.cut(select(NoticeRow).where(mine), NoticeRow.created_at)).all()
    reports = _reports(session, [row.id for row in rows])
    return [
        Told(
            at=row.created_at,
            account=scope.account(row.contract_id),
            notice=row.kind,
            channel=row.channel,
            recipient=row.recipient,
            language=row.language,
            body=row.body,
            segments=row.segments,
            state=row.state,
            detail=row.detail,
            not_before=row.not_before,
            sent_at=row.sent_at,
            delivered_at=row.delivered_at,
            reports=tuple(reports.get(row.id, ())),
        )
        for row in rows
    ]


def _reports(session: Session, notice_ids: Sequence[int]) -> Mapping[int, list[Report]]:
    found: dict[int, list[Report]] = defaultdict(list)
    for row in session.scalars(
        select(DeliveryReportRow).where(DeliveryReportRow.notice_id.in_(notice_ids)).order_by(DeliveryReportRow.id)
    ):
        if row.notice_id is not None:
            found[row.notice_id].append(Report(row.received_at, row.status, row.reason))
    return found


def _dunned(session: Session, scope: Scope, page: Page) -> list[Entry]:
    rows = session.execute(
        page.cut(
            select(ReminderRow, InvoiceRow.number, InvoiceRow.contract_id)
            .join(InvoiceRow, InvoiceRow.id == ReminderRow.invoice_id)
            .where(InvoiceRow.contract_id.in_(scope.contract_ids)),
            ReminderRow.created_at,
        )
    )
    return [
        Dunned(
            at=row.created_at,
            account=scope.account(contract_id),
            invoice=number,
            cycle=row.cycle,
            step=row.step,
            policy_version=row.policy_version,
            delivered_at=row.delivered_at,
            evidence=row.evidence,
        )
        for row, number, contract_id in rows
    ]


def _decided(session: Session, scope: Scope, page: Page) -> list[Entry]:
    rows = session.scalars(
        page.cut(
            select(DunningDecisionRow).where(DunningDecisionRow.contract_id.in_(scope.contract_ids)),
            DunningDecisionRow.at,
        )
    )
    return [
        Decided(
            at=row.at,
            account=scope.account(row.contract_id),
            cause=row.cause,
            off_due=row.off_due,
            supply=row.supply,
            policy_version=row.policy_version,
            reasons=tuple(row.reasons),
            facts=row.facts,
        )
        for row in rows
    ]


def _switched(session: Session, scope: Scope, page: Page) -> list[Entry]:
    rows = session.scalars(
        page.cut(
            select(RelayCommandRow).where(RelayCommandRow.contract_id.in_(scope.contract_ids)),
            RelayCommandRow.created_at,
        )
    ).all()
    steps: dict[str, list[Step]] = defaultdict(list)
    for event in session.scalars(
        select(RelayCommandEventRow)
        .where(RelayCommandEventRow.command_id.in_([row.id for row in rows]))
        .order_by(RelayCommandEventRow.id)
    ):
        steps[event.command_id].append(Step(event.at, event.from_state, event.to_state, event.actor, event.detail))
    return [
        Switched(
            at=row.created_at,
            account=scope.account(row.contract_id),
            meter_id=row.meter_id,
            version=row.version,
            supply=row.supply,
            reason=row.reason,
            state=row.state,
            attempts=row.attempts,
            not_before=row.not_before,
            not_after=row.not_after,
            end_code=row.end_code,
            created_by=row.created_by,
            hold_reasons=tuple(row.hold_reasons),
            steps=tuple(steps.get(row.id, ())),
        )
        for row in rows
    ]


def _crew(session: Session, scope: Scope, page: Page) -> list[Entry]:
    rows = session.scalars(
        page.cut(select(CrewTaskRow).where(CrewTaskRow.contract_id.in_(scope.contract_ids)), CrewTaskRow.created_at)
    )
    return [
        Crew(
            at=row.created_at,
            account=scope.account(row.contract_id),
            task=row.kind,
            meter_id=row.meter_id,
            state=row.state,
            detail=row.detail,
            done_at=row.done_at,
            done_by=row.done_by,
        )
        for row in rows
    ]


Source = Callable[[Session, Scope, Page], Sequence[Entry]]
SOURCES: Mapping[str, tuple[Source, ...]] = {
    "dial": (_dials,),
    "asked": (asked,),
    "paid": (paid, issued),
    "billed": (_billed,),
    "told": (_told, wrote, abandoned),
    "dunned": (_dunned, _decided),
    "switched": (_switched, _crew),
    "reported": (reported, promised),
}
