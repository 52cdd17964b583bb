"""What a customer's story shows of the texts her phones sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Wrote:
    """A text that came in. `body`: with anything that may be a PIN covered. `handled`: what was made of it."""

    kind: ClassVar[str] = "told"
    at: datetime
    phone: str
    body: str
    handled: str

    @property
    def account(self) -> str:
        """A text names no account by itself."""
        return ""
