"""Agencies: what is checked, what follows from the place, what the audit log says, what callers are shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from core.customers.agency_rules import AgencyFault, AgencyWanted, coordinates_of, degrees_text, phones_of
from core.customers.opening import read_spans, week_of
from core.customers.tables import AgencyRow
from core.db import Database
from core.kernel.clock import EAST, WEST, FixedClock
from core.services.agencies import PAGE, Agencies
from core.services.customers import Customers
from core.services.places import Places
from core.services.staff import Staff
from tests import town
from tests.core.statements import statements_of

WEEK = week_of([*[read_spans("8h-12h, 13h-16h30")] * 5, read_spans("8h-12h"), ()])
GOMA = AgencyWanted("Agence Goma", "NK-v-goma", "", "", "5 bd Kanyamuhanga", ["0812 345 678", "+243 99 555 0111"], WEEK)


@pytest.fixture
def staff(db: Database, clock: FixedClock) -> Staff:
    return Staff(db, clock, "a secret of the tests, long enough")


@pytest.fixture
def agencies(db: Database, clock: FixedClock, staff: Staff) -> Agencies:
    Places(db).load()
    return Agencies(db, clock, staff.audit)


def acts(staff: Staff) -> list[tuple[str, str, str, str]]:
    return [(e.actor, e.act, e.subject, e.detail) for e in reversed(staff.newest_audit())]


def test_the_place_decides_province_city_and_time_zone(agencies: Agencies) -> None:
    made = agencies.one(agencies.create("gom", GOMA, by="chef"))
    assert made is not None
    assert (made.code, made.province, made.city, made.time_zone) == ("GOM", "Nord-Kivu", "Goma", EAST)
    assert made.phones == ("+243812345678", "+243995550111")
    gombe = agencies.one(agencies.create("GBE", replace(GOMA, place="KN-c-gombe"), by="chef"))
    assert gombe is not None
    assert (gombe.province, gombe.city, gombe.commune, gombe.time_zone) == ("Kinshasa", "Kinshasa", "Gombe", WEST)
    # A territory has towns of its own.
    oicha = agencies.one(agencies.create("OIC", replace(GOMA, place="NK-t-beni", city="Oicha"), by="chef"))
    assert oicha is not None
    assert (oicha.city, oicha.place) == ("Oicha", "Beni")


def test_hours_are_said_in_the_readers_language_and_now(agencies: Agencies, clock: FixedClock) -> None:
    agency_id = agencies.create("GOM", GOMA, by="chef")
    # 08:00 in UTC on a Tuesday is ten o'clock in Goma.
    made = agencies.one(agency_id, language="en")
    assert made is not None
    assert made.hours_text == "Mon-Fri 8:00-12:00, 13:00-16:30; Sat 8:00-12:00"
    assert made.open_until == clock.now() + timedelta(hours=2)
    assert made.next_opening == clock.now() + timedelta(hours=3)


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("name", {"name": " \t "}),
        ("name", {"name": "x" * 81}),
        ("place", {"place": "NK-t-nowhere"}),
        ("address", {"address": ""}),
        ("phones", {"phones": ["", " "]}),
        ("phones", {"phones": ["0812"]}),
        ("phones", {"phones": ["agence"]}),
        ("phones", {"phones": [f"081234567{n}" for n in range(5)]}),
        ("latitude", {"latitude": "91", "longitude": "15"}),
        ("longitude", {"latitude": "-1.5", "longitude": ""}),
        ("latitude", {"latitude": "south", "longitude": "29"}),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(agencies: Agencies, field: str, changed: dict[str, str]) -> None:
    with pytest.raises(AgencyFault) as error:
        agencies.create("GOM", replace(GOMA, **changed), by="chef")  # type: ignore[arg-type]
    assert error.value.field == field
    assert agencies.page().agencies == []


@pytest.mark.parametrize("code", ["", "G", "GOMA-1", "x" * 13, "ÉTÉ"])
def test_a_code_is_short_and_plain(agencies: Agencies, code: str) -> None:
    with pytest.raises(AgencyFault):
        agencies.create(code, GOMA, by="chef")


def test_a_code_is_given_once(agencies: Agencies) -> None:
    agencies.create("GOM", GOMA, by="chef")
    with pytest.raises(AgencyFault, match="code"):
        agencies.create("gom", GOMA, by="chef")


def test_every_change_is_in_the_audit_log_and_nothing_else(agencies: Agencies, staff: Staff) -> None:
    agency_id = agencies.create("GOM", GOMA, by="chef")
    agencies.change(agency_id, GOMA, by="chef")
    agencies.change(agency_id, replace(GOMA, name="Agence du Lac"), by="finance")
    agencies.close(agency_id, by="chef")
    agencies.close(agency_id, by="chef")
    agencies.reopen(agency_id, by="chef")
    assert acts(staff) == [
        ("chef", "agency.created", "GOM", "Agence Goma"),
        ("finance", "agency.changed", "GOM", "name: Agence Goma > Agence du Lac"),
        ("chef", "agency.closed", "GOM", "Agence du Lac"),
        ("chef", "agency.reopened", "GOM", "Agence du Lac"),
    ]


def test_days_that_differ(agencies: Agencies, staff: Staff, clock: FixedClock) -> None:
    one, other = agencies.create("GOM", GOMA, by="chef"), agencies.create("BUT", replace(GOMA, name="B"), by="chef")
    today = date(2026, 3, 10)
    agencies.set_day(None, today, (), "Inventaire", by="chef")
    agencies.set_day(one, today, read_spans("9h-11h"), "Inventaire, deux heures", by="chef")
    mine, theirs = agencies.one(one), agencies.one(other)
    assert mine is not None
    assert theirs is not None
    # The agency's own word wins over that for all.
    assert mine.open_until == clock.now() + timedelta(hours=1)
    assert theirs.open_until is None
    days = agencies.different_days(one)
    assert [(d.day, d.reason, d.everywhere) for d in days[:2]] == [
        (today, "Inventaire, deux heures", False),
        (today, "Inventaire", True),
    ]
    assert ("Fête du travail", None) in [(d.reason, d.id) for d in days]
    agencies.set_day(one, today, (), "Deuil", by="chef")
    again = agencies.different_days(one)[0]
    assert (again.reason, again.hours) == ("Deuil", ())
    assert again.id is not None
    agencies.drop_day(other, again.id, by="chef")
    assert agencies.different_days(one)[0].reason == "Deuil"
    agencies.drop_day(one, again.id, by="chef")
    assert agencies.different_days(one)[0].everywhere
    assert ("chef", "agency.day_dropped", "GOM", "2026-03-10") in acts(staff)


def test_a_day_in_the_past_or_far_away_is_a_slip(agencies: Agencies) -> None:
    for day in (date(2026, 3, 9), date(2029, 1, 1)):
        with pytest.raises(AgencyFault):
            agencies.set_day(None, day, (), "", by="chef")


def test_nobody_is_there_on_a_public_holiday_unless_it_is_said(agencies: Agencies, clock: FixedClock) -> None:
    agency_id = agencies.create("GOM", GOMA, by="chef")
    clock.advance(days=(date(2026, 6, 30) - date(2026, 3, 10)).days)
    made = agencies.one(agency_id)
    assert made is not None
    assert made.open_until is None
    agencies.set_day(agency_id, date(2026, 6, 30), read_spans("8h-12h"), "", by="chef")
    again = agencies.one(agency_id)
    assert again is not None
    assert again.open_until is not None


def test_a_page_is_two_reads_however_many_there_are(db: Database, agencies: Agencies) -> None:
    agencies.create("A00", GOMA, by="chef")
    with statements_of(db) as few:
        agencies.page()
    for number in range(1, PAGE + 2):
        agencies.create(f"A{number:02d}", replace(GOMA, name=f"Agence {number}"), by="chef")
    with statements_of(db) as many:
        page = agencies.page()
    assert len(few) == len(many)
    assert sum(said.startswith("SELECT") for said in many) == 2
    assert (len(page.agencies), page.more) == (PAGE, True)
    assert len(agencies.page(number=1).agencies) == 2
    assert [a.code for a in agencies.page(like="agence 51").agencies] == ["A51"]
    assert agencies.page(like="%").agencies == []
    assert agencies.page(province="KN").agencies == []


def test_callers_see_open_agencies_with_their_hours(db: Database, clock: FixedClock, agencies: Agencies) -> None:
    with db.begin() as session:
        old = town.agency(session)
        assert isinstance(old, AgencyRow)
    open_one = agencies.create("GOM", GOMA, by="chef")
    agencies.close(agencies.create("BUT", replace(GOMA, name="B"), by="chef"), by="chef")
    agencies.set_day(open_one, date(2026, 3, 10), (), "", by="chef")
    shown = Customers(db, clock).agencies()
    assert [(a.name, a.hours, a.opening is None) for a in shown] == [
        ("Agence Goma", "", False),
        ("Agence Kinshasa", "Lun-Ven 8h-16h", True),
    ]
    assert shown[0].opening is not None
    assert shown[0].opening.open_until(clock.now()) is None


def test_numbers_and_coordinates_are_kept_exactly() -> None:
    assert phones_of(["0812345678", "+243812345678"]) == ["+243812345678"]
    assert coordinates_of("-4,325", "15.3222") == (-4_325_000, 15_322_200)
    assert coordinates_of("", " ") is None
    assert [degrees_text(n) for n in (-4_325_000, 15_322_200, 0, None, -500_000)] == [
        "-4.325",
        "15.3222",
        "0",
        "",
        "-0.5",
    ]
