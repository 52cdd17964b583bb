"""The one HTTP door, against a real server that misbehaves: one request, the right error, nothing secret in a log."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from structlog.testing import capture_logs

from core.kernel.errors import PartnerDown, PartnerThrottled
from core.partner_http import PartnerHttp, RedactSecrets, parse_json, redact, text_at

Behaviour = Callable[[BaseHTTPRequestHandler], None]


class Partner:
    """A server on a free port that does what the test says with each request, and remembers them."""

    def __init__(self) -> None:
        self.behave: Behaviour = lambda handler: answer(handler, 200, b"{}")
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                outer.seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                outer.behave(self)

            do_GET = do_POST = handle_one

            def log_message(self, format: str, *args: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def answer(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def partner() -> Iterator[Partner]:
    server = Partner()
    yield server
    server.close()


@pytest.fixture
def http() -> Iterator[PartnerHttp]:
    client = PartnerHttp("savanna", max_answer_bytes=1000)
    yield client
    client.close()


def test_json_goes_out_and_comes_back(partner: Partner, http: PartnerHttp) -> None:
    partner.behave = lambda handler: answer(
        handler, 201, b'\xef\xbb\xbf{"a": {"b": [1, "x "]}, "money": 12.50}', Content_Type="text/html; charset=UTF-8"
    )
    reply = http.post_json(f"{partner.url}/pay?x=1", {"é": 1}, headers={"X-Key": "k"}, timeout_s=60)
    assert (reply.status, reply.ok, reply.text_at("a.b.0"), reply.text_at("a.b.1")) == (201, True, "1", "x")
    assert reply.json["money"] == Decimal("12.50")
    assert reply.headers["content-type"] == "text/html; charset=UTF-8"
    ((method, path, headers, body),) = partner.seen
    assert (method, path, body) == ("POST", "/pay?x=1", '{"é":1}'.encode())
    assert (headers["content-type"], headers["x-key"]) == ("application/json", "k")


def test_a_form_goes_out(partner: Partner, http: PartnerHttp) -> None:
    http.post_form(f"{partner.url}/sms", {"to": "+243810000001", "n": ["1", "2"]}, {"apiKey": "k"}, 5)
    ((_, _, headers, body),) = partner.seen
    assert body == b"to=%2B243810000001&n=1&n=2"
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert headers["apikey"] == "k"


def test_a_question_goes_out(partner: Partner, http: PartnerHttp) -> None:
    http.get_json(f"{partner.url}/s/", params={"id": "a b"}, timeout_s=60)
    http.get_json(f"{partner.url}/s?kept=1", timeout_s=60)
    assert [path for _, path, _, _ in partner.seen] == ["/s/?id=a+b", "/s?kept=1"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 302])
def test_other_statuses_stay_readable(partner: Partner, http: PartnerHttp, status: int) -> None:
    partner.behave = lambda handler: answer(handler, status, b'{"code": "INS-6"}', Location="/elsewhere")
    reply = http.post_json(partner.url, {}, timeout_s=60)
    assert (reply.status, reply.ok, reply.text_at("code")) == (status, False, "INS-6")
    partner.behave = lambda handler: answer(handler, status, b"<html>")
    reply = http.post_json(partner.url, {}, timeout_s=60)
    assert (reply.json, reply.text) == (None, "<html>")
    assert len(partner.seen) == 2


def test_a_5xx_is_read_only_for_partners_whose_codes_travel_on_it(partner: Partner, http: PartnerHttp) -> None:
    partner.behave = lambda handler: answer(handler, 503, b'{"code": "INS-16"}')
    assert http.post_json(partner.url, {}, timeout_s=60, read_errors=True).text_at("code") == "INS-16"
    with pytest.raises(PartnerDown) as down:
        http.post_json(partner.url, {}, timeout_s=60)
    assert (down.value.code, down.value.sent) == ("503", True)
    partner.behave = lambda handler: answer(handler, 502, b"<html>")
    with pytest.raises(PartnerDown):
        http.post_json(partner.url, {}, timeout_s=60, read_errors=True)


def test_429_is_throttled(partner: Partner, http: PartnerHttp) -> None:
    partner.behave = lambda handler: answer(handler, 429, b"{}", Retry_After="7")
    with pytest.raises(PartnerThrottled) as throttled:
        http.post_json(partner.url, {}, timeout_s=60)
    assert throttled.value.detail == "7"


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"\xff\xfe\xfa", b"NaN", b"[" * 900, b"9" * 990 + b"x"])
def test_a_success_nobody_can_read_is_no_success(partner: Partner, http: PartnerHttp, body: bytes) -> None:
    partner.behave = lambda handler: answer(handler, 200, body)
    with pytest.raises(PartnerDown) as down:
        http.post_json(partner.url, {}, timeout_s=60)
    assert (down.value.code, down.value.sent) == ("unreadable", True)
    assert len(partner.seen) == 1


def test_an_answer_too_long_is_not_read_to_its_end(partner: Partner, http: PartnerHttp) -> None:
    partner.behave = lambda handler: answer(handler, 200, b'"' + b"a" * 1000 + b'"')
    with pytest.raises(PartnerDown, match="longer than 1000"):
        http.post_json(partner.url, {}, timeout_s=60)


def test_no_server_means_nothing_was_sent(http: PartnerHttp) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        for address in (url, "ftp://127.0.0.1/"):
            with pytest.raises(PartnerDown) as down:
                http.post_json(address, {}, timeout_s=60)
            assert (down.value.code, down.value.sent) == ("no_connection", False)


def test_a_connection_cut_is_doubt_and_asked_once(partner: Partner, http: PartnerHttp) -> None:
    """Also on a connection kept from before, where many clients silently ask again."""
    http.post_json(partner.url, {}, timeout_s=60)
    partner.behave = hang_up
    with pytest.raises(PartnerDown) as down:
        http.post_json(partner.url, {}, timeout_s=60)
    assert (down.value.code, down.value.sent) == ("cut", True)
    assert len(partner.seen) == 2


def test_a_silent_server_is_doubt(partner: Partner, http: PartnerHttp) -> None:
    released = threading.Event()
    partner.behave = lambda handler: (released.wait(60), None)[1]
    try:
        with pytest.raises(PartnerDown) as down:
            http.post_json(partner.url, {}, timeout_s=0.2)
    finally:
        released.set()
    assert (down.value.code, down.value.sent) == ("timeout", True)
    assert len(partner.seen) == 1


def test_the_environment_does_not_redirect_calls(
    partner: Partner, http: PartnerHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert http.get_json(partner.url, timeout_s=60).status == 200


def test_the_log_has_no_query_header_or_body(
    partner: Partner, http: PartnerHttp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with capture_logs() as events:
        http.post_json(f"{partner.url}/pay?who=seen-1", {"pin": "seen-2"}, headers={"key": "seen-3"}, timeout_s=60)
        partner.behave = hang_up
        with pytest.raises(PartnerDown) as down:
            http.get_json(f"{partner.url}/pay", params={"who": "seen-4"}, headers={"key": "seen-5"}, timeout_s=60)
    first, second = events
    assert (first["partner"], first["method"], first["path"], first["status"]) == ("savanna", "POST", "/pay", 200)
    assert (second["error"], second["sent"], second["log_level"]) == ("cut", True, "warning")
    assert {"host", "ms"} <= first.keys() & second.keys()
    assert "seen-" not in f"{events} {caplog.text} {down.value!r}"
    assert down.value.__cause__ is None, "an exception of the client carries the request with its headers"


def test_a_transport_of_ones_own() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json={"path": request.url.path}))
    assert PartnerHttp("x", transport=transport).get_json("https://a/b", timeout_s=1).text_at("path") == "/b"


def test_text_at_never_raises_and_never_hands_on_what_no_database_stores() -> None:
    node = parse_json(b'{"a": "x\\u0000\\ud800y", "t": true, "n": null, "l": [], "d": 1.5, "blank": " "}')
    assert text_at(node, "a") == "x?y"
    assert [text_at(node, key) for key in ("t", "n", "l", "d", "blank", "no", "l.0", "a.b", "d.1")] == [
        "true", None, None, "1.5", None, None, None, None, None,
    ]  # fmt: skip
    assert text_at(None, "a") is None


def test_secrets_are_hidden_wherever_they_stand() -> None:
    assert redact("key=abc abcdef", ["abc", "abcdef", ""]) == "key=*** ***"
    clean = RedactSecrets(["abc"])
    event = {"event": "xabcx", "deep": {"list": ["abc", 5, b"abc"]}, "n": 1}
    assert clean(None, "info", event) == {"event": "x***x", "deep": {"list": ["***", 5, "***"]}, "n": 1}


def test_text_goes_out_and_comes_back_as_text(partner: Partner, http: PartnerHttp) -> None:
    partner.behave = lambda handler: answer(handler, 200, b"<paid/>")
    reply = http.post_text(partner.url, "<pay>é</pay>", headers={"Content-Type": "text/xml"}, timeout_s=60)
    assert (reply.status, reply.json, reply.text) == (200, None, "<paid/>")
    _, _, headers, body = partner.seen[0]
    assert (headers["content-type"], body) == ("text/xml", "<pay>é</pay>".encode())
    partner.behave = lambda handler: answer(handler, 500, b"<fault/>")
    assert http.post_text(partner.url, "<pay/>", timeout_s=60, read_errors=True).text == "<fault/>"
    with pytest.raises(PartnerDown, match="500"):
        http.post_text(partner.url, "<pay/>", timeout_s=60)
    partner.behave = lambda handler: answer(handler, 500, b" ")
    with pytest.raises(PartnerDown, match="500"):
        http.post_text(partner.url, "<pay/>", timeout_s=60, read_errors=True)
