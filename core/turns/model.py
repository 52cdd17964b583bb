"""A turn as the channel reports it."""

from __future__ import annotations

import json
from dataclasses import dataclass

_dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class TurnEntry:
    """One request and its answer. `day`, `at`: ISO. `typed` is empty where a PIN was.

    `contract_id`: whom the screen is about. `seen_contract_id`: the contract whose amount due and date stood on the
    screen that this request answers, so that they were certainly on the phone. `network`: the network's code.
    """

    gateway: str
    session_id: str
    phone: str
    service_code: str
    day: str
    position: int
    state: str
    prefix_length: int
    prefix_hash: str
    typed: str
    screen: str
    ended: bool
    contract_id: int | None
    at: str
    seen_contract_id: int | None
    # Not in entries of an older release, which may still wait on the list.
    network: str = ""
    language: str = ""

    def to_json(self) -> str:
        # Written out: `astuple` copies deeply and costs as much as a read of the database.
        return _dumps(
            (
                self.gateway,
                self.session_id,
                self.phone,
                self.service_code,
                self.day,
                self.position,
                self.state,
                self.prefix_length,
                self.prefix_hash,
                self.typed,
                self.screen,
                self.ended,
                self.contract_id,
                self.at,
                self.seen_contract_id,
                self.network,
                self.language,
            )
        )

    @classmethod
    def from_json(cls, text: bytes | str) -> TurnEntry:
        """Raises ValueError or TypeError for what is no entry."""
        return cls(*json.loads(text))


@dataclass(frozen=True, slots=True)
class EndEntry:
    """The network's news that a session is over. `day`, `at`: when we heard of it, ISO. `status`: `reached_end`, `left`
    or `failed`. `reason`: `timeout`, `cancelled`, `other`, or empty where the network says nothing."""

    gateway: str
    session_id: str
    phone: str
    service_code: str
    network: str
    status: str
    reason: str
    duration_ms: int | None
    hops: int | None
    day: str
    at: str

    def to_json(self) -> str:
        """An object, where a turn is a list: what cannot be one is told from the other by its first character."""
        return _dumps({"end": [getattr(self, name) for name in self.__slots__]})


def read_entry(text: bytes | str) -> TurnEntry | EndEntry:
    """Read what waits on the list. Raises ValueError or TypeError for what is no entry."""
    told = json.loads(text)
    return EndEntry(*told["end"]) if isinstance(told, dict) and "end" in told else TurnEntry(*told)
