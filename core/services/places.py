"""Provinces, cities and territories: written into the database by every upgrade, read by whoever lets people choose."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.customers.places import Place, Province, shipped
from core.customers.tables import PlaceRow, ProvinceRow
from core.db import Database


class Places:
    """Every method is one transaction."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def load(self) -> int:
        """Write what the package ships; says how many rows were new or other than shipped. Running it again changes
        nothing, and nothing is ever taken out: agencies and sites refer to it."""
        try:
            return self._load()
        except IntegrityError:
            # Two upgrades at once write the same rows: the second finds them when it comes again.
            return self._load()

    def provinces(self) -> Sequence[Province]:
        """All of them by name, each with its places: two reads."""
        with self._db.read() as session:
            of: dict[str, list[Place]] = {}
            for row in session.scalars(select(PlaceRow).order_by(PlaceRow.kind, PlaceRow.name)):
                of.setdefault(row.province_code, []).append(Place(row.code, row.province_code, row.kind, row.name))
            found = [
                Province(row.code, row.name, row.capital, row.time_zone, tuple(of.get(row.code, ())))
                for row in session.scalars(select(ProvinceRow))
            ]
        # Here and not in the database: theirs disagree about where É stands.
        return sorted(found, key=lambda province: _sorted_as(province.name))

    def _load(self) -> int:
        with self._db.begin() as session:
            return _write_provinces(session) + _write_places(session)


def _sorted_as(name: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", name.casefold()) if not unicodedata.combining(c))


def _write_provinces(session: Session) -> int:
    there = {row.code: row for row in session.scalars(select(ProvinceRow))}
    changed = 0
    for province in shipped():
        row = there.get(province.code)
        wanted = (province.name, province.capital, province.time_zone)
        if row is None:
            row = ProvinceRow(code=province.code)
            session.add(row)
        elif (row.name, row.capital, row.time_zone) == wanted:
            continue
        row.name, row.capital, row.time_zone = wanted
        changed += 1
    session.flush()
    return changed


def _write_places(session: Session) -> int:
    there = {row.code: row for row in session.scalars(select(PlaceRow))}
    changed = 0
    for place in (place for province in shipped() for place in province.places):
        row = there.get(place.code)
        wanted = (place.province, place.kind, place.name)
        if row is None:
            row = PlaceRow(code=place.code)
            session.add(row)
        elif (row.province_code, row.kind, row.name) == wanted:
            continue
        row.province_code, row.kind, row.name = wanted
        changed += 1
    session.flush()
    return changed
