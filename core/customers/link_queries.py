"""Questions about phone links and changes of them. Session first; no commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Table, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from core.customers import links
from core.customers.link_tables import LinkChangeRow, LinkRequestRow
from core.customers.tables import ContractRow, CustomerRow, PhoneLinkRow, PhoneRow, SiteRow

_REQUEST: Table = LinkRequestRow.metadata.tables["link_request"]
_ASKS = {
    "sqlite": sqlite.insert(_REQUEST).on_conflict_do_nothing().returning(_REQUEST.c.id),
    "postgresql": postgresql.insert(_REQUEST).on_conflict_do_nothing().returning(_REQUEST.c.id),
}


@dataclass(frozen=True, slots=True)
class Account:
    """An account number that somebody has. `zone`: of its site."""

    contract_id: int
    customer_id: int
    number: str
    zone: str


@dataclass(frozen=True, slots=True)
class Person:
    """A phone that is told something, and in which language."""

    phone: str
    language: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """Requests of the last day, by this phone and for this account number. `said_no`: this phone was refused lately."""

    by_phone: int
    for_account: int
    said_no: bool


def account(session: Session, number: str) -> Account | None:
    """The active contract with this number."""
    row = session.execute(
        select(ContractRow.id, ContractRow.customer_id, ContractRow.account_number, SiteRow.time_zone)
        .join(SiteRow, SiteRow.id == ContractRow.site_id)
        .where(ContractRow.account_number == number, ContractRow.state == "active")
    ).one_or_none()
    return Account(*row) if row else None


def account_of(session: Session, customer_id: int, contract_id: int | None = None) -> Account | None:
    """The account a customer is told of: this one, else the oldest that is active."""
    wanted = select(ContractRow.account_number).where(ContractRow.customer_id == customer_id)
    wanted = (
        wanted.where(ContractRow.state == "active").order_by(ContractRow.id != contract_id, ContractRow.id).limit(1)
    )
    number = session.scalar(wanted)
    return account(session, number) if number else None


def link_of(session: Session, phone: str, customer_id: int, *, lock: bool = False) -> PhoneLinkRow | None:
    """`lock`: nobody takes the link away until this transaction ends (PostgreSQL; SQLite has one writer)."""
    found = select(PhoneLinkRow).where(PhoneLinkRow.phone == phone, PhoneLinkRow.customer_id == customer_id)
    return session.scalars(found.with_for_update(read=True) if lock else found).one_or_none()


def is_holder(session: Session, phone: str, customer_id: int, *, now: datetime) -> bool:
    """Whether this phone decides for the customer at `now`: its link stays as it is until the transaction ends."""
    link = link_of(session, phone, customer_id, lock=True)
    return link is not None and link.role == links.HOLDER and links.is_fresh(link.confirmed_at, link.fresh_until, now)


def locked_link(session: Session, link_id: int) -> PhoneLinkRow | None:
    """The link, for whoever is about to change it; None when it was taken away, perhaps a moment ago."""
    return session.scalars(select(PhoneLinkRow).where(PhoneLinkRow.id == link_id).with_for_update()).one_or_none()


def locked_request(session: Session, request_id: int) -> LinkRequestRow | None:
    """The request, for whoever is about to decide it: a second one waits, and sees what the first one said."""
    return session.scalars(
        select(LinkRequestRow).where(LinkRequestRow.id == request_id).with_for_update()
    ).one_or_none()


def holders(session: Session, customer_id: int, *, now: datetime, but: str, limit: int) -> Sequence[Person]:
    """The phones that decide for a customer, the oldest link first, without the number `but`."""
    language = func.coalesce(PhoneLinkRow.language, PhoneRow.language, CustomerRow.language)
    rows = session.execute(
        select(PhoneLinkRow.phone, language)
        .join(CustomerRow, CustomerRow.id == PhoneLinkRow.customer_id)
        .outerjoin(PhoneRow, PhoneRow.phone == PhoneLinkRow.phone)
        .where(
            PhoneLinkRow.customer_id == customer_id,
            PhoneLinkRow.role == links.HOLDER,
            PhoneLinkRow.confirmed_at.is_not(None),
            PhoneLinkRow.fresh_until > now,
            PhoneLinkRow.phone != but,
        )
        .order_by(PhoneLinkRow.id)
        .limit(limit)
    )
    return [Person(*row) for row in rows]


def language_of(session: Session, phone: str, customer_id: int) -> str:
    """The language in which a phone is told about a customer's account."""
    link = link_of(session, phone, customer_id)
    kept = session.get(PhoneRow, phone)
    chosen = (link.language if link else None) or (kept.language if kept else None)
    return chosen or session.get_one(CustomerRow, customer_id).language


def earlier(session: Session, *, phone: str, number: str, since: datetime, no_since: datetime) -> Earlier:
    """What was asked since, whether or not anybody has that number."""
    by_phone = select(func.count()).where(LinkRequestRow.phone == phone, LinkRequestRow.asked_at > since)
    for_account = select(func.count()).where(LinkRequestRow.account_number == number, LinkRequestRow.asked_at > since)
    no = select(func.count()).where(
        LinkRequestRow.phone == phone,
        LinkRequestRow.account_number == number,
        LinkRequestRow.state == "denied",
        LinkRequestRow.decided_at > no_since,
    )
    row = session.execute(select(by_phone.scalar_subquery(), for_account.scalar_subquery(), no.scalar_subquery())).one()
    return Earlier(int(row[0]), int(row[1]), bool(row[2]))


def open_request(session: Session, phone: str, number: str, *, now: datetime) -> int | None:
    """The request of this phone for this account that waits for an answer. One whose time is over is closed."""
    session.execute(
        update(LinkRequestRow)
        .where(
            LinkRequestRow.phone == phone,
            LinkRequestRow.account_number == number,
            LinkRequestRow.state == "open",
            LinkRequestRow.expires_at <= now,
        )
        .values(state="expired")
        .execution_options(synchronize_session=False)
    )
    return session.scalar(
        select(LinkRequestRow.id).where(
            LinkRequestRow.phone == phone, LinkRequestRow.account_number == number, LinkRequestRow.state == "open"
        )
    )


def ask(
    session: Session, *, phone: str, number: str, account: Account | None, language: str, now: datetime
) -> int | None:
    """Write a request down. None: another turn of the same phone has just done it."""
    row = {
        "phone": phone,
        "account_number": number,
        "contract_id": account.contract_id if account else None,
        "customer_id": account.customer_id if account else None,
        "language": language,
        "state": "open",
        "asked_at": now,
        "expires_at": now + links.REQUEST_LIFE,
    }
    made: int | None = session.execute(_ASKS[session.get_bind().dialect.name], row).scalar_one_or_none()
    return made


def confirm(
    session: Session, *, phone: str, customer_id: int, role: str, now: datetime, language: str | None = None
) -> PhoneLinkRow:
    """Link a phone to a customer, confirmed and fresh from `now`; or renew the link there is, with this role."""
    link = session.scalars(
        select(PhoneLinkRow)
        .where(PhoneLinkRow.phone == phone, PhoneLinkRow.customer_id == customer_id)
        .with_for_update()
    ).one_or_none()
    if link is None:
        link = PhoneLinkRow(phone=phone, customer_id=customer_id, created_at=now)
        session.add(link)
    link.role, link.fresh_until = role, now + links.SILENCE
    link.confirmed_at = link.confirmed_at or now
    link.language = link.language or language
    session.flush()
    return link


def remove(session: Session, link: PhoneLinkRow) -> None:
    """Take a locked link away: from the next turn on its phone sees nothing."""
    session.delete(link)
    session.flush()


def sim_changed(session: Session, phone: str, *, now: datetime) -> Sequence[int]:
    """Another SIM answers under this number: every link of it is stale from now on, whatever is drained later.

    Gives the customers it was linked to.
    """
    kept = session.get(PhoneRow, phone)
    if kept is None:
        session.add(PhoneRow(phone=phone, sim_changed_at=now))
    else:
        kept.sim_changed_at = now
    session.flush()
    customers = list(session.scalars(select(PhoneLinkRow.customer_id).where(PhoneLinkRow.phone == phone)))
    session.execute(
        update(PhoneLinkRow)
        .where(PhoneLinkRow.phone == phone)
        .values(fresh_until=None)
        .execution_options(synchronize_session=False)
    )
    return customers


def note(session: Session, *, customer_id: int, phone: str, what: str, role: str | None, by: str, now: datetime) -> int:
    """Keep what happened to a link. The id of the entry."""
    row = LinkChangeRow(customer_id=customer_id, phone=phone, what=what, role=role, by=by[:80], at=now)
    session.add(row)
    session.flush()
    return row.id


def refresh(session: Session, dials: Mapping[str, datetime]) -> None:
    """Keep links fresh whose phones dialled: phone → when last. At most one write a day and link.

    Only what was fresh at the dial: a stale link is renewed by a person, and so is one whose SIM was changed (its
    `fresh_until` is NULL). A payment proves nothing about who holds the phone and changes nothing here.
    """
    if not dials:
        return
    newest = max(dials.values()) + links.SILENCE - links.REFRESH_EVERY
    found = session.execute(
        select(PhoneLinkRow.id, PhoneLinkRow.phone)
        .where(
            PhoneLinkRow.phone.in_(dials), PhoneLinkRow.confirmed_at.is_not(None), PhoneLinkRow.fresh_until <= newest
        )
        .order_by(PhoneLinkRow.id)
    ).all()
    for link_id, phone in found:
        at = dials[phone]
        session.execute(
            update(PhoneLinkRow)
            .where(
                PhoneLinkRow.id == link_id,
                PhoneLinkRow.fresh_until > at,
                PhoneLinkRow.fresh_until <= at + links.SILENCE - links.REFRESH_EVERY,
            )
            .values(fresh_until=at + links.SILENCE)
            .execution_options(synchronize_session=False)
        )


def open_requests(session: Session, customer_id: int, *, now: datetime, limit: int) -> Sequence[LinkRequestRow]:
    """What waits for an answer of a customer's holder or of the agency, oldest first."""
    return session.scalars(
        select(LinkRequestRow)
        .where(
            LinkRequestRow.customer_id == customer_id, LinkRequestRow.state == "open", LinkRequestRow.expires_at > now
        )
        .order_by(LinkRequestRow.id)
        .limit(limit)
    ).all()


def changes(session: Session, customer_id: int, *, limit: int) -> Sequence[LinkChangeRow]:
    """What happened to a customer's phones, newest first."""
    return session.scalars(
        select(LinkChangeRow)
        .where(LinkChangeRow.customer_id == customer_id)
        .order_by(LinkChangeRow.id.desc())
        .limit(limit)
    ).all()
