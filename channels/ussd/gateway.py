"""What an aggregator's adapter does: read a request, write an answer, read the end of a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

# Far above any transcript a customer can type in three minutes.
MAX_TRANSCRIPT = 2000

EndStatus = Literal["reached_end", "left", "failed"]
# What the network adds to it; most add nothing.
EndReason = Literal["", "timeout", "cancelled", "other"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One request. `phone` is E.164 with the plus; `transcript` every reply so far, joined by `*` where the aggregator
    accumulates, else the latest reply alone. May hold a PIN: it is never stored or logged.
    """

    gateway: str
    session_id: str
    phone: str
    service_code: str
    network_code: str
    transcript: str
    accumulates: bool = True

    def __repr__(self) -> str:
        return f"Turn({self.gateway!r}, {self.session_id!r}, {len(self.transcript)} characters typed)"


@dataclass(frozen=True, slots=True)
class EndNotice:
    """A session is over. What was typed and shown stays behind at the door: it may hold a PIN and a balance."""

    gateway: str
    session_id: str
    phone: str
    service_code: str
    network_code: str
    status: EndStatus
    duration_ms: int | None
    hops: int | None
    reason: EndReason = ""


@dataclass(frozen=True, slots=True)
class Malformed:
    """A request nobody can read. `why` is a word for the counter, never what was sent."""

    why: str


class UssdGateway(Protocol):
    """One aggregator. Everything here works on bytes alone: no network, no database."""

    name: str
    accumulates: bool

    def read(self, body: bytes, content_type: str) -> Turn | Malformed: ...

    def render(self, text: str, *, ended: bool) -> bytes:
        """`text` as the aggregator wants it: go on, or end the session."""
        ...

    def read_end(self, body: bytes, content_type: str) -> EndNotice | Malformed: ...
