"""Agencies with their hours, provinces with their places, and sites that lie in one."""

from __future__ import annotations

from datetime import date

import pytest

from core.customers.agency_rules import AgencyWanted
from core.customers.opening import read_spans, week_of
from core.customers.opening_words import spoken_week
from core.db import Database
from core.kernel.clock import FixedClock
from core.services.agencies import Agencies
from core.services.places import Places
from tests import town
from tests.channels.api import api_town
from tests.channels.api.api_town import Api
from tests.channels.api.test_api_resources import walk
from tests.core.statements import statements_of

WEEK = week_of([*[read_spans("8h-12h, 13h-24h")] * 5, (), ()])
GOMA = AgencyWanted(
    "Agence Goma", "NK-v-goma", "", "", "5 bd Kanyamuhanga", ["0812345678", "0995550111"], WEEK, "-1.674", "29.228"
)


@pytest.fixture
def api(db: Database, clock: FixedClock) -> Api:
    return api_town.build(db, clock)


@pytest.fixture
def agencies(api: Api, db: Database, clock: FixedClock) -> Agencies:
    Places(db).load()
    return Agencies(db, clock, api.staff.audit)


def test_an_agency_says_when_it_is_open(api: Api, agencies: Agencies) -> None:
    made = agencies.create("GOM", GOMA, by="chef")
    agencies.set_day(made, date(2026, 3, 12), (), "Deuil", by="chef")
    said = api.get(f"/agencies/{made}", secret="-").json
    assert (said["state"], said["province"], said["place"]) == ("active", "NK", "NK-v-goma")
    assert (said["phone"], said["phones"]) == ("+243812345678", ["+243812345678", "+243995550111"])
    assert (said["latitude"], said["longitude"]) == (-1.674, 29.228)
    assert said["hours"] == spoken_week(WEEK, "fr")
    assert said["week"][:2] == [
        {"weekday": 1, "opens": "08:00", "closes": "12:00"},
        {"weekday": 1, "opens": "13:00", "closes": "24:00"},
    ]
    assert said["days"] == [{"day": "2026-03-12", "hours": [], "reason": "Deuil"}]
    # Ten in the morning there.
    assert said["open_until"] == "2026-03-10T10:00:00Z"
    assert said["opens_next"] == "2026-03-10T11:00:00Z"
    assert said["time_zone"] == "Africa/Lubumbashi"


def test_an_agency_whose_hours_are_only_words_says_them(api: Api, db: Database) -> None:
    with db.begin() as session:
        town.agency(session)
    said = api.get("/agencies/1", secret="-").json
    assert (said["hours"], said["week"], said["open_until"], said["province"]) == ("Lun-Ven 8h-16h", None, None, None)


def test_agencies_are_found_by_place_and_state(api: Api, agencies: Agencies) -> None:
    goma = agencies.create("GOM", GOMA, by="chef")
    shut = agencies.create("BUT", GOMA, by="chef")
    agencies.close(shut, by="chef")
    for asked, ids in (
        ({}, [goma]),
        ({"province": "NK"}, [goma]),
        ({"province": "KN"}, []),
        ({"place": "NK-v-goma"}, [goma]),
        ({"place": "NK-t-masisi"}, []),
        ({"state": "closed"}, [shut]),
        ({"city": "Goma", "state": "active"}, [goma]),
    ):
        assert [a["id"] for a in walk(api, "/agencies", **asked)] == ids, asked
    closed = api.get(f"/agencies/{shut}").json
    assert (closed["state"], closed["open_until"], closed["opens_next"]) == ("closed", None, None)
    assert api.get("/agencies", province="Goma").status_code == 422


def test_provinces_come_with_their_places(api: Api, agencies: Agencies, db: Database) -> None:
    listed = api.get("/provinces", secret="-", limit=100).json
    assert (len(listed["items"]), listed["next"]) == (26, None)
    assert walk(api, "/provinces", limit=7) == listed["items"]
    kinshasa = api.get("/provinces/KN", secret="-").json
    assert [place["kind"] for place in kinshasa["places"]] == ["city", *["commune"] * 24]
    assert api.get("/provinces/XX").status_code == 404
    with statements_of(db) as few:
        api.get("/provinces", secret="-", limit=1)
    with statements_of(db) as many:
        api.get("/provinces", secret="-", limit=100)
    assert len(few) == len(many)


def test_a_page_of_agencies_is_a_fixed_number_of_statements(api: Api, agencies: Agencies, db: Database) -> None:
    agencies.create("A0", GOMA, by="chef")
    with statements_of(db) as few:
        api.get("/agencies", secret="-")
    for number in range(1, 8):
        agencies.create(f"A{number}", GOMA, by="chef")
    with statements_of(db) as many:
        api.get("/agencies", secret="-")
    assert len(few) == len(many)


def test_a_site_lies_in_a_place_of_its_own_time_zone(api: Api, agencies: Agencies) -> None:
    agency = agencies.create("GOM", GOMA, by="chef")
    site = {"agency_id": agency, "address": "1 av. du Lac", "commune": "Goma", "city": "Goma", "place": "NK-v-goma"}
    east = api.post("/sites", {**site, "time_zone": "Africa/Lubumbashi"}, key="1")
    assert (east.status_code, east.json["province"], east.json["place"]) == (201, "NK", "NK-v-goma")
    assert api.post("/sites", {**site, "time_zone": "Africa/Kinshasa"}, key="2").status_code == 409
    unknown = {**site, "place": "NK-v-nowhere", "time_zone": "Africa/Lubumbashi"}
    assert api.post("/sites", unknown, key="3").status_code == 404
    assert [s["id"] for s in walk(api, "/sites", province="NK")] == [east.json["id"]]
    assert walk(api, "/sites", province="KN") == []
