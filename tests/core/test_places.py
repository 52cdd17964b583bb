"""The provinces and what lies in them: the counts that the law knows, and loading them any number of times."""

from __future__ import annotations

from collections import Counter
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from core.customers.places import KINDS, shipped
from core.customers.tables import PlaceRow, ProvinceRow
from core.db import Database
from core.kernel.clock import EAST, WEST
from core.services.places import Places

# Territories of each province, counted by hand from public lists. Source: `core.customers.places`.
TERRITORIES = {
    "BC": 10, "BU": 6, "EQ": 7, "HK": 6, "HL": 5, "HU": 6, "IT": 5, "KC": 5, "KE": 5, "KG": 5, "KL": 5, "KN": 0,
    "KS": 5, "LO": 5, "LU": 5, "MA": 7, "MN": 8, "MO": 3, "NK": 6, "NU": 4, "SA": 6, "SK": 8, "SU": 4, "TA": 6, "TO": 7,
    "TU": 6,
}  # fmt: skip
IN_THE_WEST = {"BC", "EQ", "KG", "KL", "KN", "MN", "MO", "NU", "SU", "TU"}


def test_the_country_has_26_provinces_145_territories_35_cities_and_kinshasa_24_communes() -> None:
    kinds = Counter(place.kind for province in shipped() for place in province.places)
    assert len(shipped()) == 26
    assert kinds == {"territory": 145, "city": 35, "commune": 24}
    assert set(kinds) == set(KINDS)


def test_each_province_has_the_territories_the_law_names() -> None:
    counted = {p.code: sum(place.kind == "territory" for place in p.places) for p in shipped()}
    assert counted == TERRITORIES


def test_no_name_stands_twice() -> None:
    assert len({p.name for p in shipped()}) == 26
    for province in shipped():
        names = [(place.kind, place.name) for place in province.places]
        assert len(names) == len(set(names)), province.name
        assert all(place.code.startswith(f"{province.code}-") for place in province.places)
    territories = [place.name for p in shipped() for place in p.places if place.kind == "territory"]
    assert len(set(territories)) == 145
    codes = [place.code for p in shipped() for place in p.places]
    assert len(set(codes)) == len(codes)
    assert max(map(len, codes)) <= 40


def test_every_capital_is_a_city_of_its_province() -> None:
    for province in shipped():
        cities = [place.name for place in province.places if place.kind == "city"]
        assert province.capital in cities, province.name


def test_the_country_has_two_time_zones_and_each_province_one() -> None:
    assert {p.code for p in shipped() if p.time_zone == WEST} == IN_THE_WEST
    assert {p.time_zone for p in shipped()} == {WEST, EAST}
    for province in shipped():
        ZoneInfo(province.time_zone)


def test_loading_again_changes_nothing(any_db: Database) -> None:
    places = Places(any_db)
    assert places.load() == 26 + 204
    assert places.load() == 0
    with any_db.read() as session:
        assert session.scalar(select(func.count()).select_from(PlaceRow)) == 204
    listed = places.provinces()
    assert [p.name for p in listed][:4] == ["Bas-Uélé", "Équateur", "Haut-Katanga", "Haut-Lomami"]
    assert {p.code: p for p in listed}["NK"].capital == "Goma"
    assert sum(len(p.places) for p in listed) == 204


def test_what_a_release_corrects_is_corrected_and_what_the_office_added_stays(db: Database) -> None:
    places = Places(db)
    places.load()
    with db.begin() as session:
        session.get_one(ProvinceRow, "KS").capital = "Luebo"
        session.get_one(PlaceRow, "KS-t-mweka").name = "Mueka"
        session.add(PlaceRow(code="KS-v-mweka", province_code="KS", kind="city", name="Mweka"))
    assert places.load() == 2
    kasai = {p.code: p for p in places.provinces()}["KS"]
    assert kasai.capital == "Tshikapa"
    assert sorted(place.kind for place in kasai.places if place.name == "Mweka") == ["city", "territory"]
