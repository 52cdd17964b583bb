"""What a wallet is told and what it answers, as values. Doubt is one of them.

The operator's words go in, ours come out: an unlisted code or a timeout is `Unknown`, it survives into the database and
is queried later, never asked again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from core.kernel.money import Money

# Why an attempt did not bring money, in our words. Texts to the customer hang on these.
FailureReason = Literal[
    "no_funds",
    "cancelled",
    "wrong_pin",
    "prompt_expired",
    "unreachable",
    "payer_unknown",
    "limit_reached",
    "busy",
    "amount_refused",
    "configuration",
    "not_found",
    "other",
]


@dataclass(frozen=True, slots=True)
class WalletAttempt:
    """What an operator is told about one attempt.

    `attempt_id` is a UUIDv4 text, `own_ref` 20 upper-case letters and digits; both were committed before this call.
    `payer_phone` is E.164 with the plus; the adapter derives the operator's own format.
    """

    attempt_id: str
    own_ref: str
    brand: str
    payer_phone: str
    amount: Money
    account_number: str
    description: str
    language: str = "fr"
    provider_ref: str | None = None
    provider_txn_id: str | None = None
    callback_url: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The operator took the request; the payer has not answered. Never "paid"."""

    provider_ref: str | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    provider_ref: str | None = None


@dataclass(frozen=True, slots=True)
class Paid:
    """Money moved. `amount` is None where the operator does not repeat it: then it is the amount asked for."""

    provider_txn_id: str | None = None
    amount: Money | None = None
    paid_at: datetime | None = None
    payer_phone: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """No money moved, says the operator. `final` False keeps the attempt under watch for a late success."""

    reason: FailureReason
    code: str
    final: bool = True


@dataclass(frozen=True, slots=True)
class NotAccepted:
    """Nothing was taken on (expired session, overloaded): the one answer that allows one more POST.

    `posted` False: not even a request left (no connection, no session yet), so it does not count as one.
    """

    code: str
    retry_after_s: int = 5
    posted: bool = True


@dataclass(frozen=True, slots=True)
class NotFound:
    """The operator has never heard of our id."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows. `why` is for the log and the console: a code, or the kind of network failure."""

    why: str


StartAnswer = Accepted | Paid | Failed | NotAccepted | Unknown
QueryAnswer = Pending | Paid | Failed | NotFound | Unknown


@dataclass(frozen=True, slots=True)
class RawCallback:
    """A callback as it arrived. `headers` has lower-case names; `attempt` is what stood in the path, if anything."""

    kind: str
    body: bytes
    headers: Mapping[str, str]
    method: str
    path: str
    authority: str
    attempt: str | None
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Hint:
    """A claim about an attempt, read out of a callback. `authentic` True only after a verified signature.

    `claim` is what the callback says; it is believed only when `authentic`, otherwise the operator is asked.
    """

    attempt_id: str | None = None
    own_ref: str | None = None
    provider_ref: str | None = None
    claim: QueryAnswer | None = None
    authentic: bool = False


@dataclass(frozen=True, slots=True)
class Malformed:
    """A callback nobody can read. Kept raw, counted, shown in the console."""

    why: str


@dataclass(frozen=True, slots=True)
class Ack:
    """What this operator expects as an acknowledgement."""

    body: bytes = b""
    content_type: str = "application/json"
    status: int = 200


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an operator can do; docs, tests, routing and console read it.

    `decimals`: currency → decimals it accepts. `limits`: currency → (lowest, highest) in minor units, None: unknown.
    `query_slots_s`: seconds after the POST (or after the doubt) at which the operator is asked; the last repeats hourly
    until a person takes over. `prompt_lifetime_s`: when the prompt on the phone is considered over.
    `not_found_after_s`: when "never heard of it" counts, counted from the request: before, it may not be indexed yet.
    """

    decimals: Mapping[str, int]
    query_by_own_id: bool
    signed_callbacks: bool
    query_slots_s: tuple[int, ...]
    prompt_lifetime_s: int
    not_found_after_s: int = 120
    refunds: bool = False
    statements: bool = False
    limits: Mapping[str, tuple[int | None, int | None]] = field(default_factory=dict)
