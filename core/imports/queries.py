"""What a chunk of lines asks the database: a fixed number of statements however many lines there are. No commit."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from core.billing.tables import TariffRow
from core.customers.tables import AgencyRow, ContractRow, CustomerRow, MeterRow, SiteRow
from core.imports.model import Named
from core.imports.tables import OldReferenceRow
from core.kernel.digits import with_check
from core.ledger.tables import JournalRow


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract as the lines of a file need it."""

    id: int
    account_number: str
    currency: str
    state: str
    site_id: int
    meter_id: str | None
    opened_on: date
    zone: str


@dataclass(frozen=True, slots=True)
class Agency:
    id: int
    city: str
    zone: str


@dataclass(frozen=True, slots=True)
class Tariff:
    id: int
    kind: str
    currency: str


def opening_key(contract_id: int) -> str:
    """The journal's key of a contract's opening balance: there is one, ever."""
    return f"opening:{contract_id}"


def subjects(session: Session, kind: str, references: Collection[str]) -> dict[str, int]:
    """reference → our id, of those that were brought before."""
    wanted = {one for one in references if one}
    if not wanted:
        return {}
    rows = session.execute(
        select(OldReferenceRow.reference, OldReferenceRow.subject_id).where(
            OldReferenceRow.kind == kind, OldReferenceRow.reference.in_(wanted)
        )
    )
    return {row.reference: row.subject_id for row in rows}


def customers_there(session: Session, ids: Collection[int]) -> set[int]:
    return set(session.scalars(select(CustomerRow.id).where(CustomerRow.id.in_(ids)))) if ids else set()


def accounts_taken(session: Session, numbers: Collection[str]) -> set[str]:
    found = select(ContractRow.account_number).where(ContractRow.account_number.in_(numbers))
    return set(session.scalars(found)) if numbers else set()


def meters_taken(session: Session, ids: Collection[str]) -> set[str]:
    return set(session.scalars(select(MeterRow.id).where(MeterRow.id.in_(ids)))) if ids else set()


def contracts(session: Session, named: Collection[Named], *, lock: bool = False) -> dict[Named, Contract]:
    """The contracts that lines name. `lock`: hold them, in the order of their ids, until the transaction ends."""
    accounts = {one.account for one in named if one.account}
    ids = subjects(session, "contract", [one.reference for one in named if not one.account])
    wanted = (
        select(ContractRow, SiteRow.time_zone)
        .join(SiteRow, SiteRow.id == ContractRow.site_id)
        .where(or_(ContractRow.account_number.in_(accounts), ContractRow.id.in_(ids.values())))
        .order_by(ContractRow.id)
    )
    if lock:
        wanted = wanted.with_for_update(key_share=True, of=ContractRow).execution_options(populate_existing=True)
    by_account: dict[str, Contract] = {}
    by_id: dict[int, Contract] = {}
    for row, zone in session.execute(wanted):
        found = Contract(
            row.id, row.account_number, row.currency, row.state, row.site_id, row.meter_id, row.opened_on, zone
        )
        by_account[row.account_number] = by_id[row.id] = found
    answers = {one: by_account.get(one.account) or by_id.get(ids.get(one.reference, 0)) for one in named}
    return {one: found for one, found in answers.items() if found is not None}


def agencies(session: Session, codes: Collection[str]) -> dict[str, Agency]:
    """Code, in capital letters → agency."""
    rows = session.execute(
        select(func.upper(AgencyRow.code), AgencyRow.id, AgencyRow.city, AgencyRow.time_zone).where(
            func.upper(AgencyRow.code).in_(codes)
        )
    )
    return {code: Agency(agency_id, city, zone) for code, agency_id, city, zone in rows}


def tariffs(session: Session, codes: Collection[str]) -> dict[str, list[Tariff]]:
    """Code → its versions, the newest first."""
    found: dict[str, list[Tariff]] = defaultdict(list)
    if codes:
        rows = session.execute(
            select(TariffRow.code, TariffRow.id, TariffRow.kind, TariffRow.currency)
            .where(TariffRow.code.in_(codes))
            .order_by(TariffRow.valid_from.desc(), TariffRow.id.desc())
        )
        for code, tariff_id, kind, currency in rows:
            found[code].append(Tariff(tariff_id, kind, currency))
    return found


def opened(session: Session, contract_ids: Collection[int]) -> set[int]:
    """Those whose opening balance is in the books already."""
    if not contract_ids:
        return set()
    keys = {opening_key(contract_id): contract_id for contract_id in contract_ids}
    return {keys[key] for key in session.scalars(select(JournalRow.key).where(JournalRow.key.in_(keys)))}


def fresh_accounts(session: Session, count: int) -> list[str]:
    """So many account numbers that nobody has: random, so that none is found by counting; no nought in front."""
    made: set[str] = set()
    while len(made) < count:
        drawn = {with_check(str(100_000_000 + secrets.randbelow(900_000_000))) for _ in range(count - len(made))}
        made |= drawn - accounts_taken(session, drawn)
    return list(made)
