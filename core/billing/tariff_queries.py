"""Tariffs as they are stored, read into values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.billing import tariffs
from core.billing.errors import BadTariff
from core.billing.tables import TariffRow
from core.billing.tariffs import Tariff, Versions


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
