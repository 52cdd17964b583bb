"""The door for aggregators: `POST /ussd/<aggregator>/<secret>` and `…/end`.

A wrong aggregator or secret is 404, so that nothing tells which. Everything else is answered 200 and in text: a
malformed request, a busy database and even a bug end the session with a sentence, never with an error page.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog
from flask import Blueprint, Response, request
from redis.exceptions import RedisError
from werkzeug.exceptions import RequestEntityTooLarge

from channels.ussd.gateway import EndNotice, Malformed, Turn, UssdGateway
from core.i18n import DEFAULT_LANGUAGE, N_, translate
from core.kernel import gsm7
from core.phone_numbers import masked

MAX_BODY_BYTES = 16 * 1024
_TYPE = "text/plain; charset=utf-8"

WENT_WRONG = N_("Something went wrong. Please dial again.")

_log = structlog.get_logger("ussd")


class Answers(Protocol):
    def answer(self, gateway: UssdGateway, turn: Turn) -> bytes: ...


class SessionEnds(Protocol):
    def ended(self, notice: EndNotice) -> None:
        """The network let go of a session. May raise RedisError."""
        ...


def ussd_blueprint(
    turns: Answers,
    ends: SessionEnds,
    gateways: Mapping[str, UssdGateway],
    secrets: Mapping[str, Sequence[str]],
    *,
    count: Callable[[str], None] = lambda _outcome: None,
) -> Blueprint:
    """Build the door. Exempt the blueprint from CSRF: aggregators have no session.

    `gateways`: by the name in the path. `secrets`: for each, all that are valid now, so that one can be rotated.
    `count` is called with `secret`, `too_large`, `malformed:<why>`, `bug`, `end`, `end_malformed` or `end_lost`.
    """
    opened = _lock(gateways, secrets, count)
    door = Blueprint("ussd", __name__, url_prefix="/ussd")

    @door.post("/<aggregator>/<secret>")
    def turn(aggregator: str, secret: str) -> Response:
        gateway = opened(aggregator, secret)
        if gateway is None:
            return Response(b"", 404, content_type=_TYPE)
        body = _body()
        asked = gateway.read(body, request.headers.get("Content-Type", "")) if body is not None else _TOO_LARGE
        if isinstance(asked, Malformed):
            count(f"malformed:{asked.why}")
            return _text(gateway.render(_sorry(), ended=True))
        try:
            return _text(turns.answer(gateway, asked))
        except Exception:  # noqa: BLE001 - the edge of the process: the phone must read a sentence, not an error page
            count("bug")
            _log.exception("ussd_turn_failed", gateway=gateway.name, phone=masked(asked.phone))
            return _text(gateway.render(_sorry(), ended=True))

    @door.post("/<aggregator>/<secret>/end")
    def end(aggregator: str, secret: str) -> Response:
        gateway = opened(aggregator, secret)
        if gateway is None:
            return Response(b"", 404, content_type=_TYPE)
        body = _body()
        notice = gateway.read_end(body, request.headers.get("Content-Type", "")) if body is not None else _TOO_LARGE
        if isinstance(notice, Malformed):
            count("end_malformed")
            return _text(b"")
        try:
            ends.ended(notice)
        except RedisError:
            # It only refines what we know; the marker it would clear goes by itself after a minute.
            count("end_lost")
        else:
            count("end")
        return _text(b"")

    return door


_TOO_LARGE = Malformed("too_large")


def _lock(
    gateways: Mapping[str, UssdGateway], secrets: Mapping[str, Sequence[str]], count: Callable[[str], None]
) -> Callable[[str, str], UssdGateway | None]:
    """Whose door an aggregator's name and a secret open. Raises ValueError for a door that could not be kept."""
    known = {name: tuple(s.encode() for s in secrets.get(name, ()) if s) for name in gateways}
    for name, valid in known.items():
        if not valid:
            raise ValueError(f"the USSD door of {name} needs at least one secret")
        if not gateways[name].accumulates:
            raise ValueError(f"{name} sends only the latest reply: copies cannot be told from keys pressed twice")

    def opened(aggregator: str, secret: str) -> UssdGateway | None:
        # Every secret is compared each time: how long it takes must not tell which one nearly fitted.
        given = secret.encode()
        if any([hmac.compare_digest(valid, given) for valid in known.get(aggregator, ())]):  # noqa: C419
            return gateways[aggregator]
        count("secret")
        return None

    return opened


def _body() -> bytes | None:
    request.max_content_length = MAX_BODY_BYTES
    try:
        return request.get_data(cache=False)
    except RequestEntityTooLarge:
        return None


def _text(body: bytes) -> Response:
    # Bytes: the length is known and sent; gateways may dislike chunks.
    return Response(body, content_type=_TYPE)


def _sorry() -> str:
    return gsm7.fold(translate(WENT_WRONG, DEFAULT_LANGUAGE))
