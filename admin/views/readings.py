"""Readings: those that wait for a person, one of them with what was expected, and a file of them, looked at first."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass

from flask import Blueprint, Response, g, make_response, redirect, request, url_for
from werkzeug.exceptions import NotFound

from admin import words
from admin.csv_export import as_csv
from admin.metering import CSV_MAX, PAGE, MeteringParts, act, by, kwh, typed_wh
from admin.money import Refusal
from admin.parts import Parts, day_time, page, say
from core.i18n import N_
from core.kernel.errors import Refused
from core.readings.model import Imported

MAX_BYTES = 10_000_000
DOUBTS = ("jump", "goes_back", "beyond_next", "clock")
_HISTORY = 14
_BAD_SHOWN = 100
_NO_REASON = N_("Say why: it stays on the reading.")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on its way in. `kept`: itself, as the page carries it between the look and the taking."""

    name: str
    data: bytes
    kept: str


def add_pages(admin: Blueprint, parts: Parts, metering: MeteringParts) -> None:
    _add_held(admin, parts, metering)
    _add_deciding(admin, parts, metering)
    _add_files(admin, parts, metering)


def _add_held(admin: Blueprint, parts: Parts, metering: MeteringParts) -> None:
    def asked() -> tuple[str | None, str | None]:
        doubt = request.args.get("doubt", "")
        return request.args.get("meter", "").strip().upper()[:20] or None, doubt if doubt in DOUBTS else None

    @admin.get("/readings")
    def readings() -> Response:
        meter_id, doubt = asked()
        after = max(0, request.args.get("after", default=0, type=int))
        rows = metering.readings.held(after_id=after, limit=PAGE + 1, meter_id=meter_id, doubt=doubt)
        body = page(
            "readings.html", parts, rows=rows[:PAGE], more=rows[PAGE - 1].reading.id if len(rows) > PAGE else None,
            counts=metering.readings.held_counts(), doubts=DOUBTS, doubt=doubt, meter_id=meter_id, kwh=kwh,
            zone=parts.zone, now=parts.clock.now(), done=_done(request.args.get("done", "")),
        )  # fmt: skip
        return make_response(body)

    @admin.get("/readings.csv")
    def export_readings() -> Response:
        meter_id, doubt = asked()
        parts.staff.note(g.who.login, "readings.exported", meter_id or "held")
        rows = metering.readings.held(limit=CSV_MAX, meter_id=meter_id, doubt=doubt)
        head = (
            N_("Meter"), N_("Account"), N_("Customer"), N_("Time"), N_("Register"), N_("kWh"), N_("Before, kWh"),
            N_("Before"), N_("Why held"), N_("Source"),
        )  # fmt: skip
        return as_csv(
            "readings.csv",
            head,
            (
                (
                    row.reading.meter_id, row.account_number, row.customer, day_time(row.reading.at, parts.zone),
                    row.reading.register, kwh(row.reading.wh), kwh(row.before_wh),
                    day_time(row.before_at, parts.zone), say(words.name("doubt", row.reading.doubt)),
                    say(words.name("reading_source", row.reading.source)),
                )
                for row in rows
            ),
        )  # fmt: skip


def _done(what: str) -> str:
    said = {
        "accept": N_("Accepted. What waited behind it was judged again."),
        "reject": N_("Refused: it stays to be seen and counts for nothing."),
        "correct": N_("Written. What it said before stays on the reading."),
    }.get(what)
    return say(said) if said else ""


def _add_deciding(admin: Blueprint, parts: Parts, metering: MeteringParts) -> None:
    def show(reading_id: int, refusal: Refusal | None = None, typed: dict[str, str] | None = None) -> Response:
        found = metering.readings.one(reading_id)
        if found is None:
            raise NotFound
        reading, expected = found
        meter = metering.meters.meter(reading.meter_id)
        body = page(
            "reading.html", parts, r=reading, expected=expected, kwh=kwh, refusal=refusal, typed=typed or {},
            history=metering.readings.of_meter(reading.meter_id, register=reading.register, limit=_HISTORY),
            meter=meter, zone=meter.line.zone if meter else parts.zone,
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    @admin.get("/readings/<int:reading_id>")
    def reading(reading_id: int) -> Response:
        return show(reading_id)

    @admin.post("/readings/<int:reading_id>/decide")
    def decide_reading(reading_id: int) -> Response:
        typed = {name: request.form.get(name, "").strip()[:200] for name in ("how", "kwh", "reason")}
        how, reason = typed["how"], typed["reason"]
        if how not in ("accept", "reject", "correct"):
            raise NotFound
        if len(reason) < 3:
            return show(reading_id, Refusal(say(_NO_REASON), 400), typed)
        wh = typed_wh(typed["kwh"]) if how == "correct" else 0
        if wh is None:
            return show(
                reading_id, Refusal(say(N_("This is no register: kWh with three decimals at most.")), 400), typed
            )

        def do() -> None:
            if how == "correct":
                metering.readings.correct(reading_id, wh, by=by(), reason=reason)
            else:
                {"accept": metering.readings.accept, "reject": metering.readings.reject}[how](
                    reading_id, by=by(), reason=reason
                )

        detail = f"{kwh(wh)} kWh: {reason}" if how == "correct" else reason
        answer = act(
            parts, f"reading.{how}ed" if how != "correct" else "reading.corrected", str(reading_id), detail, do
        )
        if isinstance(answer, Refusal):
            return show(reading_id, answer, typed)
        return make_response(redirect(url_for("admin.readings", done=how), 303))


def _add_files(admin: Blueprint, parts: Parts, metering: MeteringParts) -> None:
    def show(
        refusal: Refusal | None = None, upload: Upload | None = None, seen: Imported | None = None, done: bool = False
    ) -> Response:
        body = page(
            "readings_file.html", parts, refusal=refusal, upload=upload, seen=seen, done=done,
            bad_lines=seen.bad_lines[:_BAD_SHOWN] if seen else (), megabytes=MAX_BYTES // 1_000_000,
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    @admin.get("/readings/file")
    def readings_file() -> Response:
        return show()

    @admin.post("/readings/file/look")
    def look_at_readings() -> Response:
        upload = _upload()
        if isinstance(upload, Refusal):
            return show(upload)
        try:
            return show(upload=upload, seen=metering.readings.import_csv(upload.data, by=by(), dry_run=True))
        except Refused as error:
            return show(Refusal(say(error.text, **error.blanks), 400))

    @admin.post("/readings/file/import")
    def import_readings() -> Response:
        upload = _upload()
        if isinstance(upload, Refusal):
            return show(upload)
        answer = act(
            parts, "readings.imported", upload.name, f"{len(upload.data)} bytes",
            lambda: metering.readings.import_csv(upload.data, by=by()),
        )  # fmt: skip
        if isinstance(answer, Refusal):
            return show(answer, upload)
        return show(upload=upload, seen=answer, done=True)


def _upload() -> Upload | Refusal:
    """The file of this form: chosen just now, or kept in the page since it was looked at."""
    too_large = Refusal(say(N_("The file is larger than {n} MB."), n=MAX_BYTES // 1_000_000), 413)
    file = request.files.get("file")
    if file is not None and file.filename:
        data = file.stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            return too_large
        return Upload(file.filename[-100:], data, base64.b64encode(zlib.compress(data, 6)).decode())
    kept = request.form.get("kept", "")
    if not kept:
        return Refusal(say(N_("Choose a file.")), 400)
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(kept, validate=True), MAX_BYTES + 1)
    except (ValueError, zlib.error):
        return Refusal(say(N_("Choose the file once more.")), 400)
    if len(data) > MAX_BYTES:
        return too_large
    return Upload(request.form.get("filename", "")[-100:] or "readings.csv", data, kept)
