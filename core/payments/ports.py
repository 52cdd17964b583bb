"""What the payments service asks of a mobile-money operator. The values that come back: `core.payments.answers`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from core.payments.answers import (
    Accepted,
    Ack,
    BillPayment,
    BillRefusal,
    Capabilities,
    Failed,
    FailureReason,
    Finding,
    Hint,
    Malformed,
    NotAccepted,
    NotFound,
    Paid,
    Pending,
    QueryAnswer,
    RawCallback,
    RefundAnswer,
    RefundHint,
    RefundQueryAnswer,
    StartAnswer,
    StatementLine,
    Unknown,
    WalletAttempt,
    WalletRefund,
)

__all__ = [
    "Accepted",
    "Ack",
    "BillNumbers",
    "BillPayment",
    "BillRefusal",
    "Capabilities",
    "Checkable",
    "Failed",
    "FailureReason",
    "Finding",
    "Hint",
    "Malformed",
    "NotAccepted",
    "NotFound",
    "Paid",
    "Pending",
    "QueryAnswer",
    "RawCallback",
    "RefundAnswer",
    "RefundHint",
    "RefundQueryAnswer",
    "Refunds",
    "StartAnswer",
    "StatementLine",
    "Statements",
    "Unknown",
    "Wallet",
    "WalletAttempt",
    "WalletRefund",
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

    def read_callback(self, raw: RawCallback) -> Hint | RefundHint | BillPayment | Malformed: ...

    def acknowledge(self, raw: RawCallback) -> Ack:
        """Answer at once, from the bytes alone: no network, no database."""
        ...


@runtime_checkable
class Refunds(Protocol):
    """A wallet whose `can.refunds` is not `none`."""

    def refund(self, refund: WalletRefund) -> RefundAnswer:
        """POST one refund, once. The rules of `Wallet.start` hold."""
        ...

    def query_refund(self, refund: WalletRefund) -> RefundQueryAnswer: ...


@runtime_checkable
class Statements(Protocol):
    """A wallet whose `can.statements` is true: its report can be fetched."""

    def statement(self, start: datetime, end: datetime) -> Sequence[StatementLine]:
        """All lines of [start, end). Raises PartnerError."""
        ...


@runtime_checkable
class BillNumbers(Protocol):
    """A wallet whose `can.bill_number` is true. `validate` asks before the payer pays, `confirm` tells that he has."""

    def read_validation(self, raw: RawCallback) -> BillPayment | Malformed: ...

    def answer_validation(self, raw: RawCallback, refusal: BillRefusal | None) -> Ack: ...


@runtime_checkable
class Checkable(Protocol):
    """A wallet that can say, without moving money, what of its configuration works."""

    def check(self) -> Sequence[Finding]:
        """Never raises for what a network or an operator does."""
        ...
