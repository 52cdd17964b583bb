"""The box's own API, so that any program can play customer. Described in docs/sandbox.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest, HTTPException, NotFound

from mwolo.sandbox.calls import NoCall, UssdNetwork
from mwolo.sandbox.config import SandboxConfig
from mwolo.sandbox.faults import WALLETS, Faults, UnknownFault
from mwolo.sandbox.keypads import Keypads
from mwolo.sandbox.ledger import OperatorLedger
from mwolo.sandbox.movements import NothingThere, WalkIn, shown
from mwolo.sandbox.operators.keys import OperatorKeys
from mwolo.sandbox.phones import BadPhone, Phones, currency_of, normal
from mwolo.sandbox.ports import ClockControl
from mwolo.sandbox.statements import LAYOUTS, Statements
from mwolo.sandbox.texts import SmsNetwork
from mwolo.sandbox.town import NoMeter, Town

SCREEN_SEPTETS = 160
# Fault parameters that are numbers, whichever way they are written.
NUMBERS = frozenset({"seconds", "expire_after", "amount", "copies"})


@dataclass(frozen=True)
class Box:
    """Everything the API speaks for."""

    config: SandboxConfig
    phones: Phones
    ussd: UssdNetwork
    sms: SmsNetwork
    ledger: OperatorLedger
    faults: Faults
    town: Town
    keypads: Keypads
    keys: OperatorKeys
    clock: ClockControl | None
    statements: Statements


def blueprint(box: Box) -> Blueprint:
    pages = Blueprint("sandbox_api", __name__, url_prefix="/sandbox/api")
    for part in (_phones_part, _wallets_part, _money_part, _world_part):
        part(pages, box)

    @pages.app_errorhandler(HTTPException)
    def _http(problem: HTTPException) -> Response | HTTPException:
        if not request.path.startswith("/sandbox/api/"):
            return problem
        return _error(problem.code or 500, problem.description or problem.name)

    for kind, status in (
        (BadPhone, 400),
        (UnknownFault, 400),
        (NoCall, 409),
        (NoMeter, 404),
        (NothingThere, 409),
    ):
        pages.register_error_handler(kind, _sentence(status))
    return pages


def _phones_part(pages: Blueprint, box: Box) -> None:
    """Phones, calls and texts."""

    @pages.get("/config")
    def config() -> Response:
        asked = box.config
        return jsonify(
            short_code=asked.short_code,
            web=asked.web_url,
            admin=asked.admin_url,
            scenario=asked.scenario,
            max_screen_septets=SCREEN_SEPTETS,
        )

    @pages.get("/phones")
    def phones() -> Response:
        return jsonify(box.phones.listed())

    @pages.post("/phones")
    def new_phone() -> Response:
        said = _said()
        return jsonify(box.phones.stranger(_text(said, "phone"), said.get("brand")))

    @pages.post("/ussd/<phone>/dial")
    def dial(phone: str) -> Response:
        number = normal(phone)
        box.phones.stranger(number)
        try:
            return jsonify(box.ussd.dial(number, _text(_said(), "code")))
        except NoCall as refusal:
            # The network's own voice, not an error of the box.
            return jsonify(session="", text="", ended=True, error=str(refusal))

    @pages.post("/ussd/<phone>/reply")
    def reply(phone: str) -> Response:
        return jsonify(box.ussd.reply(normal(phone), _text(_said(), "input")))

    @pages.post("/ussd/<phone>/hangup")
    def hang_up(phone: str) -> Response:
        box.ussd.hang_up(normal(phone))
        return jsonify({})

    @pages.get("/sms")
    def texts() -> Response:
        phone = request.args.get("phone") or None
        after = request.args.get("after") or "0"
        if not after.isdecimal():
            raise BadRequest("after must be the id of a text.")
        return jsonify(box.sms.on_phone(None if phone is None else normal(phone), int(after)))

    @pages.post("/sms")
    def send_text() -> Response:
        said = _said()
        sender = normal(_text(said, "phone" if "phone" in said else "from"))
        box.phones.stranger(sender)
        message_id = box.sms.send_from_phone(sender, _text(said, "text"))
        return jsonify(id=message_id)


def _wallets_part(pages: Blueprint, box: Box) -> None:
    """PIN prompts and the operators' books."""

    @pages.get("/prompts")
    def prompts() -> Response:
        phone = request.args.get("phone") or None
        return jsonify(box.ledger.open_prompts(None if phone is None else normal(phone)))

    @pages.post("/prompts/<phone>")
    def answer(phone: str) -> Response:
        said = _said()
        decline = said.get("decline") is True
        if decline == ("pin" in said):
            raise BadRequest('Send either {"pin": "1234"} or {"decline": true}.')
        prompt_id = said.get("id")
        if prompt_id is not None and not isinstance(prompt_id, int):
            raise BadRequest("id must be the number of a prompt.")
        pin = None if decline else str(said["pin"])
        outcome = box.ledger.answer(normal(phone), pin=pin, prompt_id=prompt_id)
        if outcome is None:
            return _error(404, "No PIN prompt is open on this phone.")
        return jsonify(outcome=outcome)

    @pages.get("/wallets")
    def wallets() -> Response:
        return jsonify(list(WALLETS))

    @pages.get("/wallets/<wallet>/ledger")
    def ledger(wallet: str) -> Response:
        return jsonify(box.ledger.report(_wallet(wallet)))

    @pages.get("/wallets/vodacom/public-key")
    def vodacom_key() -> Response:
        return Response(box.keys.vodacom_public(), content_type="text/plain; charset=utf-8")


def _money_part(pages: Blueprint, box: Box) -> None:
    """What an operator does by itself: its report, taking money back, money that comes unasked."""

    @pages.get("/wallets/<wallet>/statement")
    def statement(wallet: str) -> Response:
        layout, said = LAYOUTS[_wallet(wallet)], request.args
        currency = (said.get("currency") or layout.currencies[0]).upper()
        try:
            day = date.fromisoformat(said["day"]) if said.get("day") else box.statements.today(wallet)
        except ValueError as problem:
            raise BadRequest("day must be a date, such as 2026-03-10.") from problem
        reply = Response(box.statements.csv(wallet, day, currency), content_type="text/csv; charset=utf-8")
        reply.headers["Content-Disposition"] = f'attachment; filename="{wallet}-{day}-{currency}.csv"'
        return reply

    @pages.post("/wallets/<wallet>/reverse")
    def reverse(wallet: str) -> Response:
        payment = _said().get("id")
        if isinstance(payment, bool) or not isinstance(payment, (int, str)):
            raise BadRequest("id must be the number of an entry, or one of the ids of a payment.")
        if isinstance(payment, int):
            if box.ledger.holder(payment) != _wallet(wallet):
                raise NothingThere(f"{wallet} has no entry {payment}.")
            return jsonify(shown(box.ledger.reverse(payment)))
        return jsonify(shown(box.ledger.movements.reverse_named(_wallet(wallet), payment)))

    @pages.post("/wallets/<wallet>/stray")
    def stray(wallet: str) -> Response:
        said = _said()
        phone = normal(_text(said, "phone"))
        amount, currency = said.get("amount"), str(said.get("currency") or currency_of(phone)).upper()
        if not _is_number(amount) or float(str(amount)) <= 0:
            raise BadRequest("amount must be a number of whole units, above 0.")
        box.phones.stranger(phone)
        minor = round(float(str(amount)) * 100)
        one = WalkIn(_wallet(wallet), phone, minor, currency, str(said.get("reference") or ""))
        return jsonify(shown(box.ledger.walk_in(one)))


def _wallet(name: str) -> str:
    if name not in WALLETS:
        raise NotFound(f"There is no wallet {name!r}; there are {', '.join(WALLETS)}.")
    return name


def _world_part(pages: Blueprint, box: Box) -> None:
    """Meters, faults, the clock, and what the town is filled with."""

    @pages.get("/meters")
    def meters() -> Response:
        return jsonify(box.town.listed())

    @pages.get("/meters/<meter_id>")
    def meter(meter_id: str) -> Response:
        return jsonify(box.keypads.one(meter_id) if box.keypads.has(meter_id) else box.town.one(meter_id))

    @pages.get("/keypads")
    def keypads() -> Response:
        return jsonify(box.keypads.listed())

    @pages.post("/meters/<meter_id>/token")
    def type_token(meter_id: str) -> Response:
        return jsonify(box.keypads.type_token(meter_id, _text(_said(), "token")))

    @pages.post("/meters/<meter_id>")
    def flag_meter(meter_id: str) -> Response:
        try:
            return jsonify(box.town.flag(meter_id, _said()))
        except ValueError as problem:
            raise BadRequest(str(problem)) from problem

    @pages.get("/faults")
    def faults() -> Response:
        return jsonify(
            {**box.faults.listed(), "known": {target: list(names) for target, names in box.faults.known.items()}}
        )

    @pages.post("/faults")
    def put_fault() -> Response:
        _put_fault(box, _said())
        return jsonify(box.faults.listed())

    @pages.get("/clock")
    def clock() -> Response:
        return jsonify(box.clock.state()) if box.clock is not None else _no_clock()

    @pages.post("/clock")
    def move_clock() -> Response:
        return _move_clock(box.clock, _said())

    @pages.post("/seed")
    def seed() -> Response:
        return _seed(box, _said())


def _put_fault(box: Box, said: Mapping[str, Any]) -> None:
    target = said.get("target")
    if said.get("clear") is True:
        box.faults.clear(None if target is None else str(target))
        if target in (None, "meters"):
            box.town.clear_faults()
        return
    times, params = said.get("times", 1), said.get("params", {})
    params = {} if params is None else params
    if not isinstance(times, int) or isinstance(times, bool) or times < 0 or not isinstance(params, dict):
        raise BadRequest("times must be a whole number, 0 for without end, and params an object.")
    for name in NUMBERS & params.keys():
        if not _is_number(params[name]):
            raise BadRequest(f"params.{name} must be a number, 0 or more.")
    fault, phone = _text(said, "fault"), said.get("phone")
    box.faults.check(str(target), fault)
    if target == "meters":
        box.town.fault(fault, times, params)
        return
    box.faults.put(str(target), fault, times=times, phone=normal(phone) if phone else None, params=params)


def _is_number(value: object) -> bool:
    try:
        return not isinstance(value, bool) and 0 <= float(str(value)) < 10**9
    except ValueError:
        return False


def _move_clock(clock: ClockControl | None, said: Mapping[str, Any]) -> Response:
    if clock is None:
        return _no_clock()
    step, to = said.get("advance_s"), said.get("to")
    try:
        if isinstance(step, (int, float)) and not isinstance(step, bool) and step >= 0 and to is None:
            return jsonify(clock.advance(float(step)))
        if isinstance(to, str) and step is None:
            return jsonify(clock.move_to(to))
    except (ValueError, OverflowError) as problem:
        raise BadRequest(str(problem)) from problem
    raise BadRequest('Send {"advance_s": seconds} or {"to": an ISO time}; the clock never goes back.')


def _seed(box: Box, said: Mapping[str, Any]) -> Response:
    phones, meters, keypads = (said.get(name) or [] for name in ("phones", "meters", "keypads"))
    try:
        for phone in phones:
            box.phones.seed(phone)
        for meter in meters:
            box.town.seed(meter)
        for keypad in keypads:
            box.keypads.seed(keypad)
    except (KeyError, TypeError, ValueError) as problem:
        if isinstance(problem, BadPhone):
            raise
        raise BadRequest(f"A phone needs a phone number, a meter an id and a key: {problem}.") from problem
    return jsonify(phones=len(phones), meters=len(meters))


def _said() -> dict[str, Any]:
    """The JSON object of the request. Raises BadRequest."""
    body = request.get_json(force=True, silent=True)
    if not isinstance(body, dict):
        raise BadRequest("Send a JSON object.")
    return body


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str):
        raise BadRequest(f"{name} is missing, or is no text.")
    return value


def _error(status: int, sentence: str) -> Response:
    reply = jsonify(error=sentence)
    reply.status_code = status
    return reply


def _sentence(status: int) -> Any:
    def handler(problem: Exception) -> Response:
        return _error(status, str(problem.args[0]) if problem.args else type(problem).__name__)

    return handler


def _no_clock() -> Response:
    return _error(503, "This box has no hand on the business clock.")
