"""A turn as the channel reports it."""

from __future__ import annotations

import json
from dataclasses import dataclass

_dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class TurnEntry:
    """One request and its answer. `day`, `at`: ISO. `typed` is empty where a PIN was.

    `contract_id`: whom the screen is about. `seen_contract_id`: the contract whose amount due and date stood on the
    screen that this request answers, so that they were certainly on the phone.
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
            )
        )

    @classmethod
    def from_json(cls, text: bytes | str) -> TurnEntry:
        """Raises ValueError or TypeError for what is no entry."""
        return cls(*json.loads(text))
