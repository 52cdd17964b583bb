"""The sandbox at the web process's own address: a thin proxy, so that one address is enough. Demo and tests only."""

from __future__ import annotations

import urllib.error
import urllib.request
from urllib.parse import quote

from flask import Blueprint, Response, jsonify, request

# Moving the business clock by days takes as long as the work that became due.
ANSWER_S = 600.0
# Headers that speak of one connection and not of the page.
_OWN = frozenset(
    {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding", "content-encoding"}
)


def sandbox_blueprint(address: str) -> Blueprint:
    """`address`: where the sandbox's own process listens."""
    box = Blueprint("sandbox", __name__, url_prefix="/sandbox")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    @box.route("/", defaults={"rest": ""}, methods=["GET", "POST", "DELETE"])
    @box.route("/<path:rest>", methods=["GET", "POST", "DELETE"])
    def forward(rest: str) -> Response:
        query = f"?{request.query_string.decode()}" if request.query_string else ""
        asked = urllib.request.Request(  # noqa: S310 (the wiring's own address)
            f"{address.rstrip('/')}/sandbox/{quote(rest)}{query}",
            data=request.get_data() if request.method != "GET" else None,
            headers={"Content-Type": request.content_type} if request.content_type else {},
            method=request.method,
        )
        try:
            with opener.open(asked, timeout=ANSWER_S) as reply:
                return _copy(reply.status, list(reply.headers.items()), reply.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return _copy(refusal.code, list(refusal.headers.items()), refusal.read())
        except OSError as error:
            away = jsonify(error=f"The sandbox does not answer ({type(error).__name__}).")
            away.status_code = 502
            return away

    return box


def _copy(status: int, headers: list[tuple[str, str]], body: bytes) -> Response:
    return Response(body, status=status, headers=[(n, v) for n, v in headers if n.lower() not in _OWN])
