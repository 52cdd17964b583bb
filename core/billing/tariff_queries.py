"""Tariffs as they are stored, read into values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.billing import tariffs
from core.billing.errors import BadTariff
from core.billing.tables import TariffRow
from core.billing.tariffs import Tariff, Versions
from core.customers.tables import ContractRow, CustomerRow


@dataclass(frozen=True, slots=True)
class TariffContract:
    """A contract that has a tariff."""

    id: int
    account_number: str
    customer_id: int
    customer: str
    kind: str
    currency: str


def versions(session: Session, codes: Collection[str] | None = None) -> dict[str, Versions]:
    """code → its versions. A version that cannot be read is left out: nobody is billed by what nobody understands."""
    wanted = select(TariffRow).order_by(TariffRow.code, TariffRow.valid_from)
    if codes is not None:
        wanted = wanted.where(TariffRow.code.in_(codes))
    found: dict[str, list[Tariff]] = defaultdict(list)
    for row in session.scalars(wanted):
        try:
            found[row.code].append(
                tariffs.read(
                    id=row.id,
                    code=row.code,
                    name=row.name,
                    kind=row.kind,
                    currency=row.currency,
                    valid_from=row.valid_from,
                    body=row.body,
                )
            )
        except BadTariff:
            continue
    return {code: Versions(tuple(all_)) for code, all_ in found.items()}


def uses(session: Session) -> dict[str, int]:
    """code → how many active contracts name one of its versions."""
    rows = session.execute(
        select(TariffRow.code, func.count())
        .join(ContractRow, ContractRow.tariff_id == TariffRow.id)
        .where(ContractRow.state == "active")
        .group_by(TariffRow.code)
    )
    return {code: int(count) for code, count in rows}


def contracts(session: Session, code: str, *, after: int, limit: int) -> list[TariffContract]:
    """Active contracts that name a version of a code, by id."""
    rows = session.execute(
        select(
            ContractRow.id,
            ContractRow.account_number,
            ContractRow.customer_id,
            CustomerRow.name,
            ContractRow.kind,
            ContractRow.currency,
        )
        .join(CustomerRow, CustomerRow.id == ContractRow.customer_id)
        .join(TariffRow, TariffRow.id == ContractRow.tariff_id)
        .where(TariffRow.code == code, ContractRow.state == "active", ContractRow.id > after)
        .order_by(ContractRow.id)
        .limit(limit)
    )
    return [TariffContract(*row) for row in rows]
