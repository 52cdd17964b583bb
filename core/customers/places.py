"""The provinces of the DR Congo with their cities and territories, as the package ships them.

Sources: the Constitution of 18 February 2006, article 2 (Kinshasa and 25 provinces, in being since 2015); the 145
territories, 35 cities (as of 2019) and 24 communes of Kinshasa as French Wikipedia counts and public lists of them
agree, read on 22 November 2026, not compared with the text of organic law 15/006 of 25 March 2015 itself; ISO 3166-2:CD
for the codes of provinces. The codes of places are our own. The time zones are those of the tz database:
Africa/Kinshasa (UTC+1) in the west, Africa/Lubumbashi (UTC+2) in the Kasaï provinces and in all that lies east and
north-east of them. `docs/agencies.md` says what is disputed.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from io import StringIO

KINDS = ("city", "territory", "commune")


@dataclass(frozen=True, slots=True)
class Place:
    """`kind`: city (ville), territory (territoire) or commune; the two first share names here and there."""

    code: str
    province: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Province:
    """`code`: its letters in ISO 3166-2:CD. `time_zone`: every place in it lies in this one."""

    code: str
    name: str
    capital: str
    time_zone: str
    places: tuple[Place, ...]


def _rows(name: str) -> Sequence[dict[str, str]]:
    text = resources.files("core").joinpath("customers", name).read_text("utf-8")
    return list(csv.DictReader(StringIO(text)))


@cache
def shipped() -> tuple[Province, ...]:
    """All 26, by code."""
    places = [Place(row["code"], row["province"], row["kind"], row["name"]) for row in _rows("places.csv")]
    return tuple(
        Province(
            row["code"],
            row["name"],
            row["capital"],
            row["time_zone"],
            tuple(place for place in places if place.province == row["code"]),
        )
        for row in _rows("provinces.csv")
    )
