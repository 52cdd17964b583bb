"""The box's only way out: HTTP posts to the product, as its partners would send them."""

from __future__ import annotations

import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

FORM = "application/x-www-form-urlencoded"
# More than any partner reads of an answer.
MOST_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `status` 0: nothing did, and `problem` says why."""

    status: int
    body: bytes = b""
    problem: str = ""

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Partners do not follow redirects of a callback."""

    def redirect_request(self, *_args: object, **_kwargs: object) -> None:
        return None


class Outbound:
    """Posts without proxies and without following redirects. Never raises for what a network does."""

    def __init__(self) -> None:
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())

    def form(self, url: str, fields: Mapping[str, str], *, timeout_s: float = 10.0) -> Answer:
        body = urllib.parse.urlencode(fields).encode()
        return self.post(url, body, {"Content-Type": FORM}, timeout_s=timeout_s)

    def post(self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float = 10.0) -> Answer:
        if not url.startswith(("http://", "https://")):
            return Answer(0, problem=f"no address to post to: {url!r}")
        request = urllib.request.Request(url, data=body, headers=dict(headers), method="POST")  # noqa: S310
        try:
            with self._opener.open(request, timeout=timeout_s) as reply:
                return Answer(reply.status, reply.read(MOST_BYTES))
        except urllib.error.HTTPError as refusal:
            with refusal:
                return Answer(refusal.code, refusal.read(MOST_BYTES))
        except TimeoutError:
            return Answer(0, problem=f"no answer within {timeout_s:g} s")
        except (OSError, ValueError) as problem:
            reason = getattr(problem, "reason", problem)
            if isinstance(reason, TimeoutError):
                return Answer(0, problem=f"no answer within {timeout_s:g} s")
            return Answer(0, problem=str(reason) or type(problem).__name__)
        except Exception as problem:  # noqa: BLE001 (http.client's own errors, which the import walls keep out of reach)
            return Answer(0, problem=f"{type(problem).__name__}: {problem}")
