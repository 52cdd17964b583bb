"""What the payments service asks of a mobile-money operator. The values that come back: `core.payments.answers`."""

from __future__ import annotations

from typing import Protocol

from core.payments.answers import (
    Accepted,
    Ack,
    Capabilities,
    Failed,
    FailureReason,
    Hint,
    Malformed,
    NotAccepted,
    NotFound,
    Paid,
    Pending,
    QueryAnswer,
    RawCallback,
    StartAnswer,
    Unknown,
    WalletAttempt,
)

__all__ = [
    "Accepted",
    "Ack",
    "Capabilities",
    "Failed",
    "FailureReason",
    "Hint",
    "Malformed",
    "NotAccepted",
    "NotFound",
    "Paid",
    "Pending",
    "QueryAnswer",
    "RawCallback",
    "StartAnswer",
    "Unknown",
    "Wallet",
    "WalletAttempt",
]


class Wallet(Protocol):
    """One mobile-money operator. What it cannot do, `can` does not list, and nobody calls."""

    name: str
    can: Capabilities
    secrets: tuple[str, ...]

    def start(self, attempt: WalletAttempt) -> StartAnswer:
        """POST one debit, once. Never raises for what a network or an operator does: that is `Unknown`."""
        ...

    def query(self, attempt: WalletAttempt) -> QueryAnswer: ...

    def read_callback(self, raw: RawCallback) -> Hint | Malformed: ...

    def acknowledge(self, raw: RawCallback) -> Ack:
        """Answer at once, from the bytes alone: no network, no database."""
        ...
