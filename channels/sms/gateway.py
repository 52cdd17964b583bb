"""What an aggregator's SMS adapter does: hand a text over, and read what comes back.

The sending half is the port of `core.notices.ports`; its errors are those of `core.notices.errors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from core.notices.ports import DeliveryReport, InboundText, OutboundText, Receipt


@dataclass(frozen=True, slots=True)
class OptOut:
    """Somebody told the aggregator that they want no texts from us. `phone`: E.164."""

    phone: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """A callback nobody can read. `why` is a word for the counter, never what was sent."""

    why: str


class SmsAggregator(Protocol):
    """One aggregator. `secrets` names the fields of its config that no log may show."""

    name: str
    secrets: tuple[str, ...]

    def send(self, text: OutboundText) -> Receipt:
        """Hand one text over, once. See `core.notices.ports.SmsGateway`."""
        ...

    def read_delivery(self, form: Mapping[str, str]) -> DeliveryReport | Malformed: ...

    def read_inbound(self, form: Mapping[str, str]) -> InboundText | Malformed: ...

    def read_opt_out(self, form: Mapping[str, str]) -> OptOut | Malformed: ...
