"""Agencies: all of them, and one with its place, hours and days that differ."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, Response, g, make_response, request
from werkzeug.exceptions import NotFound

from admin.csv_export import as_csv
from admin.money import Refusal
from admin.parts import Parts, day_time, language, page, say
from admin.setup import SetupParts
from core.customers.agency_rules import degrees_text
from core.customers.opening import Spans
from core.customers.opening_words import spoken_spans
from core.customers.places import Province
from core.i18n import N_
from core.services.agencies import Agency

WEEKDAYS = (
    N_("Monday"), N_("Tuesday"), N_("Wednesday"), N_("Thursday"), N_("Friday"), N_("Saturday"), N_("Sunday"),
)  # fmt: skip
_HEAD = [
    N_("Code"), N_("Name"), N_("State"), N_("Province"), N_("Place"), N_("City"), N_("Commune"), N_("Address"),
    N_("Phones"), N_("Hours"), N_("Time zone"), N_("Latitude"), N_("Longitude"),
]  # fmt: skip
# What the page says after a form; the address carries the key.
DONE = {
    "created": N_("The agency is there. Customers see it within five minutes."),
    "changed": N_("Changed. Customers see it within five minutes."),
    "closed": N_("Closed. Customers do not see it any more."),
    "reopened": N_("It is open again."),
    "day": N_("Noted. Customers see it within five minutes."),
    "dropped": N_("The usual hours hold again on that day."),
}
_STATES = {"active": False, "closed": True, "all": None}
_LAST_PAGE = 1_000


def add_pages(admin: Blueprint, parts: Parts, setup: SetupParts) -> None:
    @admin.get("/settings/agencies")
    def agency_list() -> Response:
        state = request.args.get("state", "active")
        if state not in _STATES:
            raise NotFound
        number = min(max(0, request.args.get("page", 0, type=int)), _LAST_PAGE)
        asked = {
            "province": request.args.get("province", "")[:2],
            "like": "".join(c for c in request.args.get("like", "")[:60] if c.isprintable()).strip(),
        }
        found = setup.agencies.page(
            language=language(),
            province=asked["province"] or None,
            closed=_STATES[state],
            like=asked["like"],
            number=number,
        )
        body = page(
            "agencies.html", parts, found=found, provinces=setup.places.provinces(), state=state, asked=asked,
            number=number, now=parts.clock.now(),
        )  # fmt: skip
        return make_response(body)

    @admin.get("/settings/agencies.csv")
    def export_agencies() -> Response:
        rows = setup.agencies.all(language=language())
        parts.staff.note(g.who.login, "export.agencies", "all", f"{len(rows)} rows")
        return as_csv("agencies.csv", _HEAD, [_row(agency) for agency in rows])

    @admin.get("/settings/agencies/<int:agency_id>")
    def agency(agency_id: int) -> Response:
        return show_agency(parts, setup, agency_id)


def agency_of(setup: SetupParts, agency_id: int) -> Agency:
    """Raises NotFound."""
    found = setup.agencies.one(agency_id, language=language())
    if found is None:
        raise NotFound
    return found


def show_agency(
    parts: Parts,
    setup: SetupParts,
    agency_id: int,
    refusal: Refusal | None = None,
    typed: dict[str, str] | None = None,
) -> Response:
    found = agency_of(setup, agency_id)
    sites, agents = setup.agencies.depend_on(agency_id)
    body = page(
        "agency.html", parts, agency=found, sites=sites, agents=agents, refusal=refusal, typed=typed or {},
        days=setup.agencies.different_days(agency_id), weekdays=WEEKDAYS, spoken=spoken, degrees=degrees_text,
        now=parts.clock.now(), done=DONE.get(request.args.get("done", "")),
    )  # fmt: skip
    return make_response(body, refusal.status if refusal else 200)


def spoken(spans: Spans) -> str:
    """The hours of one day in the reader's language; `shut all day` for none."""
    return spoken_spans(spans, language()) or say(N_("shut all day"))


def choices(provinces: Sequence[Province]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Provinces with (code, name) of each place, the kind behind names that two kinds share."""
    kinds = {"city": N_("city"), "territory": N_("territory"), "commune": N_("commune")}
    return [
        (province.name, [(place.code, f"{place.name} ({say(kinds[place.kind])})") for place in province.places])
        for province in provinces
    ]


def _row(agency: Agency) -> list[object]:
    closed = agency.closed_at
    return [
        agency.code,
        agency.name,
        say(N_("closed since {day}"), day=day_time(closed, agency.time_zone)) if closed else say(N_("active")),
        agency.province,
        agency.place,
        agency.city,
        agency.commune,
        agency.address,
        " / ".join(agency.phones),
        agency.hours_text,
        agency.time_zone,
        degrees_text(agency.latitude_e6),
        degrees_text(agency.longitude_e6),
    ]
