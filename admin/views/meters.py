"""Meters: which are out of step or silent, and one of them with all that it was told and said."""

from __future__ import annotations

from flask import Blueprint, Response, g, make_response, redirect, request, url_for
from werkzeug.exceptions import NotFound

from admin import words
from admin.csv_export import as_csv
from admin.metering import CSV_MAX, PAGE, MeteringParts, act, by, kwh
from admin.money import Refusal
from admin.parts import Parts, day_time, page, say
from core.desk.meter_model import ODD, Meter, MeterSieve
from core.i18n import N_
from core.staff.rules import Permission

CONTROLS = ("mqtt_relay", "openpaygo_token", "sts_token", "manual", "none")
_READINGS = 20
_SWITCHED = ("mqtt_relay", "manual")


def add_pages(admin: Blueprint, parts: Parts, metering: MeteringParts) -> None:
    _add_list(admin, parts, metering)
    _add_one(admin, parts, metering)


def _sieve() -> MeterSieve:
    """What the address asks for; what is no value of a field is left out."""

    def one_of(name: str, known: tuple[str, ...]) -> str:
        value = request.args.get(name, "")
        return value if value in known else ""

    return MeterSieve(
        control=one_of("control", CONTROLS),
        wanted=one_of("wanted", ("on", "off")),
        reported=one_of("reported", ("on", "off", "none")),
        odd=one_of("odd", ODD),
        q=request.args.get("q", "").replace(" ", "").upper()[:20],
    )


def _add_list(admin: Blueprint, parts: Parts, metering: MeteringParts) -> None:
    @admin.get("/meters")
    def meters() -> Response:
        sieve, after = _sieve(), request.args.get("after", "")[:20]
        lines = metering.meters.meters(sieve, after=after, limit=PAGE + 1)
        body = page(
            "meters.html", parts, lines=lines[:PAGE], more=lines[PAGE - 1].id if len(lines) > PAGE else None,
            sieve=sieve, controls=CONTROLS, odds=ODD, real_now=parts.clock.real_now(), zone=parts.zone,
            asked=_asked(sieve),
        )  # fmt: skip
        return make_response(body)

    @admin.get("/meters.csv")
    def export_meters() -> Response:
        sieve = _sieve()
        parts.staff.note(g.who.login, "meters.exported", _asked(sieve) or "all")
        head = (
            N_("Meter"), N_("Control"), N_("Account"), N_("Customer"), N_("Place"), N_("Wanted"), N_("Why"),
            N_("Reported"), N_("Connected"), N_("Last heard"), N_("In step"),
        )  # fmt: skip
        return as_csv(
            "meters.csv",
            head,
            (
                (
                    one.id, say(words.name("control", one.control)), one.account, one.customer, one.place,
                    _supply(one.wanted), say(words.name("cause", one.reason)), _supply(one.reported),
                    say(N_("yes")) if one.online else say(N_("no")), day_time(one.heard_at, one.zone),
                    say(N_("yes")) if one.in_step else say(N_("no")),
                )
                for one in metering.meters.meters(sieve, limit=CSV_MAX)
            ),
        )  # fmt: skip


def _supply(value: str | None) -> str:
    return say(words.state("supply", value)[0]) if value else ""


def _asked(sieve: MeterSieve) -> str:
    """The sieve as it stands in an address."""
    pairs = {"control": sieve.control, "wanted": sieve.wanted, "reported": sieve.reported, "odd": sieve.odd}
    asked = [f"{name}={value}" for name, value in pairs.items() if value]
    return "&".join([*asked, *([f"q={sieve.q}"] if sieve.q.isalnum() else [])])


def _add_one(admin: Blueprint, parts: Parts, metering: MeteringParts) -> None:
    def found(meter_id: str) -> Meter:
        meter = metering.meters.meter(meter_id[:20], with_tokens=g.who.may(Permission.SEE_TOKENS))
        if meter is None:
            raise NotFound
        return meter

    def show(meter_id: str, refusal: Refusal | None = None, reason: str = "") -> Response:
        meter = found(meter_id)
        body = page(
            "meter.html", parts, meter=meter, line=meter.line, zone=meter.line.zone, kwh=kwh, refusal=refusal,
            readings=metering.readings.of_meter(meter_id, limit=_READINGS), reason=reason,
            real_now=parts.clock.real_now(), now=parts.clock.now(), can_switch=meter.line.control in _SWITCHED,
            done=_done(request.args.get("done", "")),
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    @admin.get("/meters/<meter_id>")
    def meter(meter_id: str) -> Response:
        return show(meter_id)

    @admin.get("/meters/<meter_id>/readings.csv")
    def export_meter_readings(meter_id: str) -> Response:
        zone = found(meter_id).line.zone
        parts.staff.note(g.who.login, "readings.exported", meter_id)
        head = (
            N_("Time"), N_("Register"), N_("kWh"), N_("State"), N_("Quality"), N_("Why held"), N_("Source"),
            N_("Decided by"), N_("Why"),
        )  # fmt: skip
        return as_csv(
            f"readings-{meter_id}.csv",
            head,
            (
                (
                    day_time(one.at, zone), one.register, kwh(one.wh), say(words.state("reading", one.state)[0]),
                    say(words.name("quality", str(one.quality))),
                    say(words.name("doubt", one.doubt)) if one.doubt else "",
                    say(words.name("reading_source", one.source)), one.by or "", one.reason or "",
                )
                for one in metering.readings.of_meter(meter_id, limit=CSV_MAX)
            ),
        )  # fmt: skip

    @admin.post("/meters/<meter_id>/on")
    def switch_on(meter_id: str) -> Response:
        reason = request.form.get("reason", "").strip()[:200]
        found(meter_id)
        if len(reason) < 3:
            return show(meter_id, Refusal(say(N_("Say why supply is to be on.")), 400), reason)
        version = act(
            parts, "supply.on", meter_id, reason, lambda: metering.meters.switch_on(meter_id, by=by())
        )  # fmt: skip
        if isinstance(version, Refusal):
            return show(meter_id, version, reason)
        return make_response(redirect(url_for("admin.meter", meter_id=meter_id, done="on" if version else "so"), 303))


def _done(what: str) -> str:
    said = {
        "on": N_("Supply is wanted on. The meter's own report will say when it is."),
        "so": N_("Supply is on already, or a command is on its way. Nothing was changed."),
    }.get(what)
    return say(said) if said else ""
