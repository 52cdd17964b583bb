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
class RefundHint:
    """A callback about a refund of ours. Nothing in it is believed: the operator is asked."""

    refund_id: str


@dataclass(frozen=True, slots=True)
class BillPayment:
    """Money that somebody sent by our bill number from the operator's own menu. It has moved already.

    `reference`: as the payer typed it, or as we sent it where a request of ours is told a second time this way.
    `payer`: opaque text, for it may be masked or a digest.
    """

    provider_txn_id: str
    amount: Money
    reference: str
    payer: str | None = None
    paid_at: datetime | None = None


# Why a payment by bill number is refused before it is made.
BillRefusal = Literal["unknown_account", "amount_refused", "other"]


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
class WalletRefund:
    """What an operator is told about one refund. All ids were committed before this call.

    `refund_id`: UUIDv4 text. `own_ref`: 20 upper-case letters and digits. The rest names the payment it gives back:
    `attempt_id` None where the payer came by himself, `provider_ref` is what the operator called this refund before.
    """

    refund_id: str
    own_ref: str
    attempt_id: str | None
    provider_txn_id: str | None
    brand: str
    payer_phone: str
    amount: Money
    original: Money
    provider_ref: str | None = None
    callback_url: str | None = None


# In both, `Paid` means that the operator gave the money back.
RefundAnswer = Accepted | Paid | Failed | NotAccepted | Unknown
RefundQueryAnswer = Pending | Paid | Failed | NotFound | Unknown

LineKind = Literal["payment", "refund", "reversal", "fee", "payout", "other"]


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One line of an operator's report, in our words. `amount` is positive; `kind` says which way it went.

    `row_key`: the same for the same line in any later report. `own_ids`: what may be an id of ours. `original_txn_id`:
    the payment that a reversal or refund takes back. `raw`: the line as it came, for the person who looks.
    """

    row_key: str
    kind: LineKind
    amount: Money
    at: datetime
    provider_txn_id: str | None = None
    own_ids: tuple[str, ...] = ()
    original_txn_id: str | None = None
    payer: str | None = None
    reference: str | None = None
    fee: Money | None = None
    raw: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that `wallets check` looked at. `ok` None: it cannot be known without moving money."""

    ok: bool | None
    what: str
    advice: str = ""


# How far a callback proves who sent it. Only a signature may replace the question to the operator.
CallbackProof = Literal["none", "hash", "signature"]
RefundMode = Literal["none", "full", "partial"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an operator can do; docs, tests, routing and console read it.

    `decimals`: currency → decimals it accepts. `limits`: currency → (lowest, highest) in minor units, None: unknown.
    `query_slots_s`: seconds after the POST (or after the doubt) at which the operator is asked; the last repeats hourly
    until a person takes over. `prompt_lifetime_s`: when the prompt on the phone is considered over.
    `not_found_after_s`: when "never heard of it" counts, counted from the request: before, it may not be indexed yet.
    `bill_number`: payers can come by themselves, typing our account number in the operator's menu.
    `calls_per_minute`: how often it may be called by all our processes together.
    """

    decimals: Mapping[str, int]
    query_by_own_id: bool
    callback_proof: CallbackProof
    query_slots_s: tuple[int, ...]
    prompt_lifetime_s: int
    not_found_after_s: int = 120
    refunds: RefundMode = "none"
    statements: bool = False
    bill_number: bool = False
    calls_per_minute: int = 600
    limits: Mapping[str, tuple[int | None, int | None]] = field(default_factory=dict)
