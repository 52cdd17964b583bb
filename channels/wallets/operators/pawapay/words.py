"""pawaPay's failure codes, and our reasons for them."""

from __future__ import annotations

from collections.abc import Mapping

from core.payments.ports import FailureReason

_CONFIGURATION = (
    "NO_AUTHENTICATION", "AUTHENTICATION_ERROR", "AUTHORISATION_ERROR", "HTTP_SIGNATURE_ERROR", "INVALID_INPUT",
    "MISSING_PARAMETER", "UNSUPPORTED_PARAMETER", "INVALID_PARAMETER", "INVALID_CURRENCY", "INVALID_PROVIDER",
    "DUPLICATE_METADATA_FIELD", "DEPOSITS_NOT_ALLOWED", "REFUNDS_NOT_ALLOWED",
)  # fmt: skip
REASONS: Mapping[str, FailureReason] = {
    **dict.fromkeys(_CONFIGURATION, "configuration"),
    "AMOUNT_OUT_OF_BOUNDS": "amount_refused",
    "AMOUNT_TOO_LARGE": "amount_refused",
    "INVALID_AMOUNT": "amount_refused",
    "INVALID_PHONE_NUMBER": "payer_unknown",
    "PAYER_NOT_FOUND": "payer_unknown",
    "RECIPIENT_NOT_FOUND": "payer_unknown",
    # No PIN in time, or "no" pressed: pawaPay does not tell which.
    "PAYMENT_NOT_APPROVED": "cancelled",
    "MANUALLY_CANCELLED": "cancelled",
    "INSUFFICIENT_BALANCE": "no_funds",
    "PAYMENT_IN_PROGRESS": "busy",
    "PAYER_LIMIT_REACHED": "limit_reached",
    "WALLET_LIMIT_REACHED": "limit_reached",
    "UNSPECIFIED_FAILURE": "other",
}
# pawaPay itself does not know: not final.
UNDECIDED = "UNKNOWN_ERROR"
