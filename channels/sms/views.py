"""The door for SMS callbacks: `POST /sms/<aggregator>/<secret>/inbound`, `/delivery`, `/optout`.

Check the secret, read, store, answer 200. A wrong aggregator or secret is 404, so that nothing tells which; a body over
16 KiB is 413; 503 only when it could not be stored, so that the aggregator sends it again. What nobody can read is
counted and answered 200: it would come back unreadable for hours.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog
from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from channels.sms.gateway import Malformed, OptOut, SmsAggregator
from core.kernel.errors import NotRecorded
from core.notices.ports import DeliveryReport, InboundText

MAX_BODY_BYTES = 16 * 1024
_MAX_FIELDS = 40

_log = structlog.get_logger("sms")

Read = DeliveryReport | InboundText | OptOut | Malformed


class Intake(Protocol):
    """Where callbacks are kept: `core.services.notices.Notices`. Each raises NotRecorded when it was not committed."""

    def take_delivery(self, gateway: str, report: DeliveryReport) -> None: ...

    def take_inbound(self, gateway: str, text: InboundText) -> bool: ...

    def take_opt_out(self, phone: str, *, gateway: str) -> None: ...


def sms_blueprint(
    intake: Intake,
    aggregators: Mapping[str, SmsAggregator],
    secrets: Mapping[str, Sequence[str]],
    *,
    count: Callable[[str], None] = lambda _outcome: None,
) -> Blueprint:
    """Build the door. Exempt the blueprint from CSRF: aggregators have no session.

    `secrets`: aggregator → all that are valid now, so that one can be rotated. `count` is called once per request with
    `delivery`, `inbound`, `optout`, `malformed`, `not_recorded`, `too_large` or `refused`.
    Raises ValueError for an aggregator without a secret.
    """
    for name in aggregators:
        if not secrets.get(name) or not all(secrets[name]):
            raise ValueError(f"the SMS door of {name} needs at least one secret")
    door = Blueprint("sms", __name__, url_prefix="/sms")

    def receive(kind: str, name: str, secret: str) -> Response:
        # Every secret is compared each time: how long it takes must not tell which one nearly fitted.
        fits = [hmac.compare_digest(valid.encode(), secret.encode()) for valid in secrets.get(name, ("",))]
        if name not in aggregators or not any(fits):
            count("refused")
            return _plain("not found", 404)
        form = _form()
        if form is None:
            count("too_large")
            return _plain("too large", 413)
        read = _read(aggregators[name], kind, form)
        if isinstance(read, Malformed):
            count("malformed")
            _log.warning("sms_callback_malformed", aggregator=name, kind=kind, why=read.why, fields=len(form))
            return _plain("OK", 200)
        if not _stored(intake, name, kind, read):
            count("not_recorded")
            return _plain("again", 503, {"Retry-After": "5"})
        count(kind)
        return _plain("OK", 200)

    @door.post("/<name>/<secret>/delivery")
    def delivery(name: str, secret: str) -> Response:
        return receive("delivery", name, secret)

    @door.post("/<name>/<secret>/inbound")
    def inbound(name: str, secret: str) -> Response:
        return receive("inbound", name, secret)

    @door.post("/<name>/<secret>/optout")
    def optout(name: str, secret: str) -> Response:
        return receive("optout", name, secret)

    return door


def _form() -> Mapping[str, str] | None:
    """The fields, None when there is too much of it. What is no form has no fields."""
    request.max_content_length = MAX_BODY_BYTES
    request.max_form_memory_size = MAX_BODY_BYTES
    request.max_form_parts = _MAX_FIELDS
    try:
        return request.form
    except RequestEntityTooLarge:
        return None


def _read(aggregator: SmsAggregator, kind: str, form: Mapping[str, str]) -> Read:
    if kind == "delivery":
        return aggregator.read_delivery(form)
    return aggregator.read_inbound(form) if kind == "inbound" else aggregator.read_opt_out(form)


def _stored(intake: Intake, name: str, kind: str, read: DeliveryReport | InboundText | OptOut) -> bool:
    try:
        match read:
            case DeliveryReport():
                intake.take_delivery(name, read)
            case InboundText():
                intake.take_inbound(name, read)
            case OptOut(phone):
                intake.take_opt_out(phone, gateway=name)
    except NotRecorded:
        _log.warning("sms_callback_not_recorded", aggregator=name, kind=kind)
        return False
    except Exception:  # noqa: BLE001 - the edge of the process: the aggregator must hear "again", not a stack trace
        _log.exception("sms_callback_not_recorded", aggregator=name, kind=kind)
        return False
    return True


def _plain(text: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return Response(text, status=status, content_type="text/plain", headers=dict(headers or {}))
