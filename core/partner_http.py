"""The one HTTP door to gateways, operators and vending systems.

Asks once: a debit or a text that is posted twice may be charged or sent twice, so nothing here ever retries. What a
network does becomes our errors here and nowhere else:

- no connection was made            → PartnerDown(sent=False): nothing reached the partner
- cut, too slow, 5xx, unreadable    → PartnerDown(sent=True): nobody knows
- 429                               → PartnerThrottled

Any other status comes back as a `Reply`, 4xx included: partners put their own codes into such bodies.
Logged are method, host, path, status and milliseconds; never a query string, a header or a body.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx
import structlog

from core.kernel.errors import PartnerDown, PartnerThrottled

# A partner's answer is a few kilobytes. A longer one is a mistake or an attack, and is not read to its end.
MAX_ANSWER_BYTES = 1024 * 1024
CONNECT_TIMEOUT_S = 5.0
WRITE_TIMEOUT_S = 10.0
# An idle connection that the partner is about to close turns the next POST into "nobody knows". Close ours first.
KEEP_IDLE_S = 4.0
HIDDEN = "***"

Fields = Mapping[str, str | Sequence[str]]

_log = structlog.get_logger("partner_http")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a partner answered. `json` is None when the body is no JSON; `headers` has lower-case names."""

    status: int
    headers: Mapping[str, str]
    json: Any = None
    text: str = field(default="", repr=False)

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def text_at(self, path: str) -> str | None:
        """The text or number at a dotted path (`"data.status"`, list places as numbers), trimmed; else None.

        None for what is missing, empty, a list or an object, so that a partner's odd shape never raises.
        """
        return text_at(self.json, path)


def text_at(node: object, path: str) -> str | None:
    """The text or number at a dotted path inside parsed JSON, trimmed; None when there is no such thing."""
    for step in path.split("."):
        if isinstance(node, dict):
            node = node.get(step)
        elif isinstance(node, list) and step.isdecimal() and int(step) < len(node):
            node = node[int(step)]
        else:
            return None
    if isinstance(node, bool):
        return "true" if node else "false"
    if isinstance(node, (int, Decimal)):
        return str(node)
    if not isinstance(node, str):
        return None
    # Lone surrogates and NUL are legal JSON, and no database stores them.
    return node.encode("utf-8", "replace").decode().replace("\x00", "").strip() or None


def parse_json(body: bytes) -> Any:
    """Parse a body leniently in its encoding, strictly in its grammar. Decimals become Decimal, never float.

    Raises ValueError for everything that is not JSON, however it is broken.
    """
    try:
        return json.loads(body.removeprefix(b"\xef\xbb\xbf"), parse_float=Decimal, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def json_bytes(body: object) -> bytes:
    """A body as `post_json` sends it: UTF-8, no blanks, keys in their order."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def redact(text: str, secrets: Iterable[str]) -> str:
    """`text` with every secret in it hidden. For what goes into a log or onto the console."""
    for secret in sorted((s for s in secrets if s), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


class RedactSecrets:
    """A structlog processor that hides the given secrets wherever they stand in an event."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = tuple(secrets)

    def __call__(self, _logger: Any, _method: str, event: Any) -> Any:
        return self._clean(event)

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return redact(value, self._secrets)
        if isinstance(value, bytes):
            return redact(value.decode("utf-8", "replace"), self._secrets)
        if isinstance(value, Mapping):
            return {key: self._clean(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._clean(item) for item in value]
        return value


class PartnerHttp:
    """One partner's pooled client. Safe to share between threads; opens its connections anew in a forked process.

    `partner`: the name in logs and errors. `transport`: tests put their own network here. `proxy`: where calls must
    leave by a fixed address. `ca_file`: certificates to trust instead of the public ones.
    """

    def __init__(
        self,
        partner: str,
        *,
        transport: httpx.BaseTransport | None = None,
        proxy: str | None = None,
        ca_file: str | None = None,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        self.partner = partner
        self._transport = transport
        self._proxy = proxy
        self._ca_file = ca_file
        self._connect_timeout_s = connect_timeout_s
        self._max_answer_bytes = max_answer_bytes
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None
        self._pid = 0

    def post_json(
        self,
        url: str,
        body: object,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
        read_errors: bool = False,
    ) -> Reply:
        """POST `body` as JSON, once; bytes go out as they are (signed over, or with decimals as plain numbers).

        `read_errors`: a 5xx with a JSON body comes back as a Reply, for partners whose codes travel on any status.
        """
        content = body if isinstance(body, bytes) else json_bytes(body)
        sent = {"content-type": "application/json", "accept": "application/json", **_lower(headers)}
        return self._ask("POST", url, sent, timeout_s, read_errors=read_errors, content=content)

    def post_form(
        self, url: str, fields: Fields, headers: Mapping[str, str] | None = None, timeout_s: float = 30.0
    ) -> Reply:
        """POST `fields` as a form, once. What a partner's SDK is made to go through."""
        sent = {"accept": "application/json", **_lower(headers)}
        return self._ask("POST", url, sent, timeout_s, data=dict(fields))

    def post_text(
        self,
        url: str,
        body: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
        read_errors: bool = False,
    ) -> Reply:
        """POST text (XML: name its type in `headers`), once. The answer is text too: no JSON is expected of it.

        `read_errors`: a 5xx with a body comes back as a Reply, for a SOAP fault travels on a 500."""
        sent = {"content-type": "text/plain; charset=utf-8", **_lower(headers)}
        return self._ask("POST", url, sent, timeout_s, read_errors=read_errors, as_text=True, content=body.encode())

    def get_json(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
        read_errors: bool = False,
    ) -> Reply:
        """GET, once. A question may be asked again, but by a schedule that somebody can see, not in here."""
        sent = {"accept": "application/json", **_lower(headers)}
        # httpx wipes a query string standing in the URL when it is handed empty params.
        asked: dict[str, Any] = {"params": dict(params)} if params else {}
        return self._ask("GET", url, sent, timeout_s, read_errors=read_errors, **asked)

    def put_json(
        self,
        url: str,
        body: object,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
        read_errors: bool = False,
    ) -> Reply:
        """PUT `body` as JSON, once; otherwise as `post_json`."""
        sent = {"content-type": "application/json", "accept": "application/json", **_lower(headers)}
        return self._ask("PUT", url, sent, timeout_s, read_errors=read_errors, content=json_bytes(body))

    def get_text(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
        max_answer_bytes: int | None = None,
    ) -> Reply:
        """GET a file of text (a report), once. `max_answer_bytes`: a report is longer than an answer."""
        sent = {"accept": "text/csv, text/plain, */*", **_lower(headers)}
        return self._ask("GET", url, sent, timeout_s, as_text=True, max_answer_bytes=max_answer_bytes)

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _ask(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        timeout_s: float,
        *,
        read_errors: bool = False,
        as_text: bool = False,
        max_answer_bytes: int | None = None,
        **body: Any,
    ) -> Reply:
        started = time.monotonic()
        target = httpx.URL(url)
        log = _log.bind(partner=self.partner, method=method, host=target.host, path=target.path)
        try:
            longest = max_answer_bytes or self._max_answer_bytes
            status, answered, raw = self._exchange(method, target, headers, timeout_s, longest, body)
        except PartnerDown as down:
            log.warning("partner_call", error=down.code, sent=down.sent, ms=_ms_since(started))
            raise
        log.info("partner_call", status=status, ms=_ms_since(started))
        return self._read(status, answered, raw, read_errors=read_errors, as_text=as_text)

    def _exchange(
        self, method: str, url: httpx.URL, headers: dict[str, str], timeout_s: float, longest: int, body: dict[str, Any]
    ) -> tuple[int, dict[str, str], bytes]:
        """Send and read to the end, or raise PartnerDown. Exceptions of httpx carry the request, hence `from None`:
        no traceback may print a header."""
        client = self._ready()
        limits = httpx.Timeout(timeout_s, connect=self._connect_timeout_s, write=WRITE_TIMEOUT_S, pool=timeout_s)
        ends = time.monotonic() + timeout_s + WRITE_TIMEOUT_S
        request = client.build_request(method, url, headers=headers, timeout=limits, **body)
        try:
            answer = client.send(request, stream=True)
            try:
                raw = self._body(answer, ends, longest)
            finally:
                answer.close()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            raise PartnerDown(self.partner, "no_connection", type(error).__name__, sent=False) from None
        except httpx.UnsupportedProtocol:
            raise PartnerDown(self.partner, "no_connection", "address without http(s)", sent=False) from None
        except httpx.TimeoutException as error:
            raise PartnerDown(self.partner, "timeout", type(error).__name__) from None
        except httpx.DecodingError:
            raise PartnerDown(self.partner, "unreadable", "encoding") from None
        except httpx.TransportError as error:
            raise PartnerDown(self.partner, "cut", type(error).__name__) from None
        return answer.status_code, _lower(answer.headers), raw

    def _body(self, answer: httpx.Response, ends: float, longest: int) -> bytes:
        raw = bytearray()
        for piece in answer.iter_bytes():
            raw += piece
            if len(raw) > longest:
                raise PartnerDown(self.partner, "unreadable", f"longer than {longest} bytes")
            # A read timeout starts anew with every byte; a partner that drips must not hold a worker for ever.
            if time.monotonic() > ends:
                raise PartnerDown(self.partner, "timeout", "the answer dripped")
        return bytes(raw)

    def _read(
        self, status: int, headers: dict[str, str], raw: bytes, *, read_errors: bool, as_text: bool = False
    ) -> Reply:
        try:
            parsed = parse_json(raw)
        except ValueError:
            parsed = None
        if status == 429:
            raise PartnerThrottled(self.partner, "429", headers.get("retry-after", ""))
        readable = bool(raw.strip()) if as_text else isinstance(parsed, (dict, list))
        if status >= 500 and not (read_errors and readable):
            raise PartnerDown(self.partner, str(status))
        if status < 300 and parsed is None and not as_text:
            raise PartnerDown(self.partner, "unreadable", f"status {status}, {len(raw)} bytes, no JSON")
        return Reply(status, headers, parsed, raw.decode("utf-8", "replace"))

    def _ready(self) -> httpx.Client:
        """The client of this process. A forked child must not share its parent's sockets."""
        with self._lock:
            if self._client is None or self._pid != os.getpid():
                self._pid = os.getpid()
                self._client = self._open()
            return self._client

    def _open(self) -> httpx.Client:
        # Both write the full address at INFO and headers at DEBUG: query strings and bearers would reach the log.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        verify: Any = True
        if self._ca_file is not None:
            verify = httpx.create_ssl_context(verify=self._ca_file)
        return httpx.Client(
            transport=self._transport,
            verify=verify,
            proxy=self._proxy,
            trust_env=False,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=KEEP_IDLE_S),
            headers={"user-agent": "mwolo", "accept-encoding": "identity"},
        )


def _lower(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {name.lower(): value for name, value in (headers or {}).items()}


def _ms_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
