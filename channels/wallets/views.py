"""The door for wallet callbacks: check the secret, store the bytes, acknowledge. Nothing is believed or asked here.

`POST /hooks/<slug>/<secret>/<kind>[/<attempt>]`. A wrong slug, secret, kind or source is 404, so that nothing tells
which; a body over 64 KiB is 413; 503 when it could not be recorded, so that the operator sends it again.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Protocol

import structlog
from flask import Blueprint, Response, request

from core.kernel.clock import Clock
from core.kernel.errors import NotRecorded
from core.payments.ports import Ack, BillNumbers, BillPayment, BillRefusal, Malformed, RawCallback, Wallet

KINDS = frozenset({"callback", "validate", "confirm", "result", "timeout"})
MAX_BODY_BYTES = 64 * 1024
_ATTEMPT = re.compile(r"[A-Za-z0-9-]{1,64}")
# Never kept: they prove somebody's identity and no operator needs them checked later.
_NOT_KEPT = frozenset({"cookie", "authorization", "proxy-authorization"})

_log = structlog.get_logger("hooks")


class CallbackInbox(Protocol):
    """Keeps a callback as it came, and says whether somebody may pay by bill number."""

    def refuse_bill(self, wallet: str, bill: BillPayment) -> BillRefusal | None: ...

    def store(self, wallet: str, raw: RawCallback, source: str) -> None:
        """Write the callback and the errand to settle it in one transaction. Raises NotRecorded when it was not
        committed. `source` is the sender's address as our own proxy saw it."""
        ...


def hooks_blueprint(
    inbox: CallbackInbox,
    wallets_by_slug: Mapping[str, Wallet],
    secrets: Sequence[str],
    *,
    clock: Clock,
    count: Callable[[str], None] = lambda _outcome: None,
    sources: Mapping[str, Sequence[IPv4Network | IPv6Network]] | None = None,
) -> Blueprint:
    """Build the door. Exempt the blueprint from CSRF: operators have no session.

    `secrets`: all that are valid now, so that one can be rotated. `count` is called once per request with `stored`,
    `validated`, `not_recorded`, `too_large` or what was wrong (`slug`, `secret`, `kind`, `attempt`, `source`).
    `sources`: wallet name → networks it may call from; a wallet not listed may call from anywhere.
    """
    if not secrets or not all(secrets):
        raise ValueError("the callback door needs at least one secret")
    hooks = Blueprint("hooks", __name__, url_prefix="/hooks")

    lock = _Lock(wallets_by_slug, tuple(secret.encode() for secret in secrets), sources or {})

    @hooks.post("/<slug>/<secret>/<kind>")
    @hooks.post("/<slug>/<secret>/<kind>/<attempt>")
    def receive(slug: str, secret: str, kind: str, attempt: str | None = None) -> Response:
        fault = lock.fault(slug, secret, kind, attempt)
        if fault is not None:
            count(fault)
            return _plain(404)
        wallet = wallets_by_slug[slug]
        body = _body()
        if body is None:
            count("too_large")
            return _plain(413)
        raw = _raw(kind, attempt, body, clock)
        if kind == "validate" and isinstance(wallet, BillNumbers):
            count("validated")
            return _validate(inbox, wallet.name, wallet, raw)
        if not _store(inbox, wallet.name, raw):
            count("not_recorded")
            return _plain(503, {"Retry-After": "5"})
        count("stored")
        return _acknowledge(wallet, raw)

    return hooks


@dataclass(frozen=True, slots=True)
class _Lock:
    """What an address must have right."""

    wallets: Mapping[str, Wallet]
    secrets: Sequence[bytes]
    sources: Mapping[str, Sequence[IPv4Network | IPv6Network]]

    def fault(self, slug: str, secret: str, kind: str, attempt: str | None) -> str | None:
        """What is wrong with it, or None."""
        # Every secret is compared each time: how long it takes must not tell which one nearly fitted.
        if not any([hmac.compare_digest(valid, secret.encode()) for valid in self.secrets]):  # noqa: C419
            return "secret"
        if slug not in self.wallets:
            return "slug"
        if kind not in KINDS or (kind == "validate" and not isinstance(self.wallets[slug], BillNumbers)):
            return "kind"
        if attempt is not None and not _ATTEMPT.fullmatch(attempt):
            return "attempt"
        allowed = self.sources.get(self.wallets[slug].name)
        return "source" if allowed is not None and not _comes_from(allowed) else None


def _body() -> bytes | None:
    """The raw body, None when it is too long. Counted while reading: a chunked one announces no length."""
    if (request.content_length or 0) > MAX_BODY_BYTES:
        return None
    body = bytearray()
    while len(body) <= MAX_BODY_BYTES:
        piece = request.stream.read(MAX_BODY_BYTES + 1 - len(body))
        if not piece:
            return bytes(body)
        body += piece
    return None


def _validate(inbox: CallbackInbox, name: str, wallet: BillNumbers, raw: RawCallback) -> Response:
    """Answer a payer who waits in the operator's menu. When we cannot tell, the money may come: suspense takes it."""
    try:
        bill = wallet.read_validation(raw)
        refusal = "other" if isinstance(bill, Malformed) else inbox.refuse_bill(name, bill)
    except Exception:  # noqa: BLE001 - the edge of the process: a payer must not be sent away for our trouble
        _log.exception("validation_not_decided", wallet=name)
        refusal = None
    if refusal is not None:
        _log.info("bill_refused", wallet=name, why=refusal)
    ack = wallet.answer_validation(raw, refusal)
    return Response(ack.body, status=ack.status, content_type=ack.content_type)


def _store(inbox: CallbackInbox, name: str, raw: RawCallback) -> bool:
    try:
        inbox.store(name, raw, request.remote_addr or "")
    except NotRecorded:
        _log.warning("callback_not_recorded", wallet=name, kind=raw.kind)
        return False
    except Exception:  # noqa: BLE001 - the edge of the process: the operator must hear "again", not a stack trace
        _log.exception("callback_not_recorded", wallet=name, kind=raw.kind)
        return False
    return True


def _acknowledge(wallet: Wallet, raw: RawCallback) -> Response:
    try:
        ack = wallet.acknowledge(raw)
    except Exception:  # noqa: BLE001 - it is stored; a bug in the answer must not make the operator send it for ever
        _log.exception("acknowledgement_failed", wallet=wallet.name, kind=raw.kind)
        ack = Ack(content_type="text/plain")
    return Response(ack.body, status=ack.status, content_type=ack.content_type)


def _raw(kind: str, attempt: str | None, body: bytes, clock: Clock) -> RawCallback:
    return RawCallback(
        kind=kind,
        body=body,
        headers={name.lower(): value for name, value in request.headers if name.lower() not in _NOT_KEPT},
        method=request.method,
        path=request.root_path.rstrip("/") + request.path,
        authority=request.host,
        attempt=attempt,
        received_at=clock.real_now(),
    )


def _comes_from(networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    try:
        address = ip_address(request.remote_addr or "")
    except ValueError:
        return False
    return any(address in network for network in networks)


def _plain(status: int, headers: Mapping[str, str] | None = None) -> Response:
    return Response("", status=status, headers=headers, content_type="text/plain")
