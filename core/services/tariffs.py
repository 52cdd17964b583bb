"""Tariffs: versions that are added and never changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import structlog

from core.billing import tariff_queries as queries
from core.billing import tariffs
from core.billing.errors import BadTariff
from core.billing.tables import TariffRow
from core.billing.tariff_queries import TariffContract
from core.billing.tariffs import Tariff, Versions
from core.db import Database
from core.i18n import N_
from core.kernel.clock import WEST, Clock, local_date
from core.kernel.errors import Refused

log = structlog.get_logger(__name__)


class TariffRefused(Refused):
    """A version that cannot be charged by, or that would change the past. `text` is one sentence."""


class Tariffs:
    """Owns its transactions. Prepaid prices are versions of their own (`core.services.prepaid`)."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def add(
        self,
        code: str,
        *,
        name: str,
        kind: str,
        currency: str,
        valid_from: date,
        body: Mapping[str, Any],
        by: str,
    ) -> int:
        """Add a version from `valid_from` on; its id. What was billed before stays as it is.

        Contracts name a code by any of its versions, so they follow by themselves. Raises TariffRefused for one that
        cannot be read, is of another kind or currency than its code, or begins in the past (a first one may).
        """
        if not 0 < len(code) <= 20 or not 0 < len(name) <= 80:
            raise TariffRefused(N_("A code has 20 characters at most, a name 80."))
        try:
            read = tariffs.read(
                id=0, code=code, name=name, kind=kind, currency=currency, valid_from=valid_from, body=body
            )
        except BadTariff as error:
            raise TariffRefused(error.text, **error.blanks) from error
        with self._db.begin() as session:
            before = queries.versions(session, {code}).get(code)
            for one in before.all[-1:] if before else ():
                if (one.kind, one.currency) != (read.kind, read.currency):
                    raise TariffRefused(N_("Another version of {code} is of another kind or currency."), code=code)
                if valid_from < local_date(self._clock.now(), WEST):
                    raise TariffRefused(N_("A new version begins today or later: what was billed stays as it is."))
                if valid_from <= one.valid_from:
                    raise TariffRefused(
                        N_("{code} has a version from {date} already: a new one begins after it."),
                        code=code,
                        date=one.valid_from.strftime("%d/%m/%Y"),
                    )
            row = TariffRow(code=code, name=name, kind=kind, currency=currency, valid_from=valid_from, body=dict(body))
            session.add(row)
            session.flush()
            log.info("tariff.added", code=code, valid_from=valid_from.isoformat(), by=by)
            return row.id

    def versions(self, code: str) -> Versions | None:
        """Every version of a code, the oldest first. None: there is no such code."""
        with self._db.read() as session:
            return queries.versions(session, {code}).get(code)

    def uses(self) -> dict[str, int]:
        """code → how many active contracts have it."""
        with self._db.read() as session:
            return queries.uses(session)

    def contracts(self, code: str, *, after: int = 0, limit: int = 50) -> list[TariffContract]:
        """Active contracts that have a code, by id, above `after`."""
        with self._db.read() as session:
            return queries.contracts(session, code, after=after, limit=limit)

    def today(self) -> date:
        """The day from which a new version may begin."""
        return local_date(self._clock.now(), WEST)

    def all(self) -> list[Tariff]:
        """Every version, by code, the newest first. One that an older release wrote and nobody can read is left out."""
        with self._db.read() as session:
            found = queries.versions(session)
        return [one for code in sorted(found) for one in reversed(found[code].all)]

    def in_force(self, code: str, day: date) -> Tariff | None:
        """The version of a code in force on a day."""
        with self._db.read() as session:
            found = queries.versions(session, {code}).get(code)
        return next((one for one in reversed(found.all) if one.valid_from <= day), None) if found else None
