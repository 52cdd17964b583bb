"""What the office does with agencies: make one, change it, close it, note a day that differs."""

from __future__ import annotations

from datetime import date

from flask import Blueprint, Response, g, make_response, redirect, request

from admin.money import Refusal
from admin.parts import Parts, page, phone, say
from admin.setup import SetupParts, tried
from admin.views.agencies import DONE, WEEKDAYS, agency_of, choices, show_agency, spoken
from core.customers.agency_rules import PHONES_MAX, AgencyWanted, degrees_text
from core.customers.opening import BadHours, Spans, Week, read_spans, spans_as_json, week_of
from core.i18n import N_
from core.services.agencies import Agency

_FIELDS = ("code", "name", "place", "city", "commune", "address", "latitude", "longitude")
_DAYS = tuple(f"day{number}" for number in range(7))
_PHONES = tuple(f"phone{number}" for number in range(PHONES_MAX))
_LONGEST = 200
_BAD_HOURS = N_("{day}: hours are written 8h-12h, 13h30-16h, up to three a day; leave the field empty when closed.")


def add_pages(admin: Blueprint, parts: Parts, setup: SetupParts) -> None:
    _add_form(admin, parts, setup)
    _add_state(admin, parts, setup)
    _add_days(admin, parts, setup)


def _add_form(admin: Blueprint, parts: Parts, setup: SetupParts) -> None:
    def show(agency: Agency | None, typed: dict[str, str], refusal: Refusal | None = None) -> Response:
        body = page(
            "agency_form.html", parts, agency=agency, typed=typed, refusal=refusal, weekdays=WEEKDAYS, days=_DAYS,
            phones=_PHONES, places=choices(setup.places.provinces()),
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    @admin.get("/settings/agencies/new")
    def new_agency() -> Response:
        return show(None, {})

    @admin.post("/settings/agencies/new")
    def create_agency() -> Response:
        typed = _typed()
        week = _read_week(typed)
        if isinstance(week, Refusal):
            return show(None, typed, week)
        made = tried(
            parts, "agency.created", typed["code"],
            lambda: setup.agencies.create(typed["code"], _wanted(typed, week), by=g.who.login),
        )  # fmt: skip
        return show(None, typed, made) if isinstance(made, Refusal) else _back(made, "created")

    @admin.get("/settings/agencies/<int:agency_id>/edit")
    def edit_agency(agency_id: int) -> Response:
        agency = agency_of(setup, agency_id)
        return show(agency, _as_typed(agency))

    @admin.post("/settings/agencies/<int:agency_id>/edit")
    def change_agency(agency_id: int) -> Response:
        agency, typed = agency_of(setup, agency_id), _typed()
        week = _read_week(typed)
        if isinstance(week, Refusal):
            return show(agency, typed, week)
        answer = tried(
            parts, "agency.changed", agency.code,
            lambda: setup.agencies.change(agency_id, _wanted(typed, week), by=g.who.login),
        )  # fmt: skip
        return show(agency, typed, answer) if isinstance(answer, Refusal) else _back(agency_id, "changed")


def _add_state(admin: Blueprint, parts: Parts, setup: SetupParts) -> None:
    @admin.post("/settings/agencies/<int:agency_id>/close")
    def close_agency(agency_id: int) -> Response:
        code = agency_of(setup, agency_id).code
        refusal = tried(parts, "agency.closed", code, lambda: setup.agencies.close(agency_id, by=g.who.login))
        return show_agency(parts, setup, agency_id, refusal) if refusal else _back(agency_id, "closed")

    @admin.post("/settings/agencies/<int:agency_id>/reopen")
    def reopen_agency(agency_id: int) -> Response:
        code = agency_of(setup, agency_id).code
        refusal = tried(parts, "agency.reopened", code, lambda: setup.agencies.reopen(agency_id, by=g.who.login))
        return show_agency(parts, setup, agency_id, refusal) if refusal else _back(agency_id, "reopened")


def _add_days(admin: Blueprint, parts: Parts, setup: SetupParts) -> None:
    def show_all(refusal: Refusal | None = None, typed: dict[str, str] | None = None) -> Response:
        body = page(
            "agency_days.html", parts, days=setup.agencies.different_days(None), refusal=refusal, typed=typed or {},
            spoken=spoken, done=DONE.get(request.args.get("done", "")),
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    def note(agency_id: int | None, code: str) -> tuple[Refusal | None, dict[str, str]]:
        typed = {name: request.form.get(name, "").strip()[:_LONGEST] for name in ("day", "hours", "reason")}
        read = _read_day(typed)
        if isinstance(read, Refusal):
            return read, typed
        day, hours = read
        answer = tried(
            parts, "agency.day", code,
            lambda: setup.agencies.set_day(agency_id, day, hours, typed["reason"], by=g.who.login),
        )  # fmt: skip
        return answer, typed

    def drop(agency_id: int | None, code: str) -> Refusal | None:
        day_id = request.form.get("id", "")
        number = int(day_id) if day_id.isascii() and day_id.isdecimal() and len(day_id) <= 18 else 0
        return tried(
            parts, "agency.day_dropped", code, lambda: setup.agencies.drop_day(agency_id, number, by=g.who.login)
        )

    @admin.post("/settings/agencies/<int:agency_id>/days")
    def set_agency_day(agency_id: int) -> Response:
        refusal, typed = note(agency_id, agency_of(setup, agency_id).code)
        return show_agency(parts, setup, agency_id, refusal, typed) if refusal else _back(agency_id, "day")

    @admin.post("/settings/agencies/<int:agency_id>/days/drop")
    def drop_agency_day(agency_id: int) -> Response:
        refusal = drop(agency_id, agency_of(setup, agency_id).code)
        return show_agency(parts, setup, agency_id, refusal) if refusal else _back(agency_id, "dropped")

    @admin.get("/settings/agencies/days")
    def common_days() -> Response:
        return show_all()

    @admin.post("/settings/agencies/days")
    def set_common_day() -> Response:
        refusal, typed = note(None, "all")
        return show_all(refusal, typed) if refusal else redirected("/admin/settings/agencies/days?done=day")

    @admin.post("/settings/agencies/days/drop")
    def drop_common_day() -> Response:
        refusal = drop(None, "all")
        return show_all(refusal) if refusal else redirected("/admin/settings/agencies/days?done=dropped")


def redirected(address: str) -> Response:
    return make_response(redirect(address, 303))


def _back(agency_id: int, done: str) -> Response:
    return redirected(f"/admin/settings/agencies/{agency_id}?done={done}")


def _typed() -> dict[str, str]:
    return {name: request.form.get(name, "").strip()[:_LONGEST] for name in (*_FIELDS, *_PHONES, *_DAYS)}


def _wanted(typed: dict[str, str], week: Week | None) -> AgencyWanted:
    return AgencyWanted(
        name=typed["name"],
        place=typed["place"],
        city=typed["city"],
        commune=typed["commune"],
        address=typed["address"],
        phones=[typed[name] for name in _PHONES],
        week=week,
        latitude=typed["latitude"],
        longitude=typed["longitude"],
    )


def _read_week(typed: dict[str, str]) -> Week | Refusal | None:
    """The seven fields; None where all are empty: hours are not known yet."""
    days: list[Spans] = []
    for name, day in zip(_DAYS, WEEKDAYS, strict=True):
        try:
            days.append(read_spans(typed[name]))
        except BadHours:
            return Refusal(say(_BAD_HOURS, day=say(day)), 400)
    return week_of(days) if any(days) else None


def _read_day(typed: dict[str, str]) -> tuple[date, Spans] | Refusal:
    try:
        day = date.fromisoformat(typed["day"])
    except ValueError:
        return Refusal(say(N_("This is no date.")), 400)
    try:
        return day, read_spans(typed["hours"])
    except BadHours:
        return Refusal(say(_BAD_HOURS, day=typed["day"]), 400)


def _as_typed(agency: Agency) -> dict[str, str]:
    """The form as somebody would have filled it in: what follows from the place is empty, so that another place brings
    its own."""
    in_commune = agency.commune == agency.place
    follows = (agency.place, agency.province) if in_commune else (agency.place,)
    week = agency.hours.week if agency.hours else ((),) * 7
    return {
        "code": agency.code,
        "name": agency.name,
        "place": agency.place_code,
        "city": "" if agency.city in follows else agency.city,
        "commune": "" if in_commune else agency.commune,
        "address": agency.address,
        "latitude": degrees_text(agency.latitude_e6),
        "longitude": degrees_text(agency.longitude_e6),
        **dict(zip(_PHONES, map(phone, agency.phones), strict=False)),
        **{name: ", ".join(spans_as_json(spans)) for name, spans in zip(_DAYS, week, strict=True)},
    }
