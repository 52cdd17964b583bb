"""Refunds of deposits: what is asked, and how the answers read."""

from __future__ import annotations

from collections.abc import Mapping

from channels.wallets.operators.pawapay.words import REASONS, UNDECIDED
from core.kernel.money import BadAmount, Money
from core.partner_http import Reply
from core.payments.ports import (
    Accepted,
    Failed,
    NotAccepted,
    NotFound,
    Paid,
    Pending,
    RefundAnswer,
    RefundQueryAnswer,
    Unknown,
    WalletRefund,
)

# Nothing was taken on, and it may go better in a minute. The first one: another refund of the deposit is under way.
_LATER = frozenset({"REFUND_IN_PROGRESS", "PROVIDER_TEMPORARILY_UNAVAILABLE"})


def refund_body(refund: WalletRefund, deposit_id: str, decimals: Mapping[str, int]) -> dict[str, str]:
    """Raises BadAmount or KeyError for an amount pawaPay cannot take."""
    currency = refund.amount.currency
    return {
        "refundId": refund.refund_id,
        "depositId": deposit_id,
        "amount": refund.amount.decimal_text(decimals[currency]),
        "currency": currency,
        "clientReferenceId": refund.own_ref,
    }


def read_refund_start(reply: Reply, refund_id: str) -> RefundAnswer:
    """Read the answer to a refund that was asked for. Source: pawaPay's guide to refunds, API v2."""
    status, code = reply.text_at("status"), reply.text_at("failureReason.failureCode")
    if status in ("ACCEPTED", "DUPLICATE_IGNORED") and reply.ok:
        return Accepted() if reply.text_at("refundId") in (refund_id, None) else Unknown("another_refund")
    if code in _LATER:
        return NotAccepted(code or "", retry_after_s=60)
    if code == UNDECIDED:
        return Unknown(code)
    if code is not None and (status == "REJECTED" or code in REASONS):
        return Failed(REASONS.get(code, "other"), code)
    if status == "REJECTED":
        return Failed("other", "REJECTED")
    return Unknown(code or f"http_{reply.status}_{status or 'no_status'}")


def read_refund(reply: Reply, refund_id: str) -> RefundQueryAnswer:
    """Read the status of a refund."""
    if not reply.ok:
        return Unknown(reply.text_at("failureReason.failureCode") or f"http_{reply.status}")
    match reply.text_at("status"):
        case "NOT_FOUND":
            return NotFound()
        case "FOUND" if reply.text_at("data.refundId") == refund_id:
            return _state(reply)
        case "FOUND":
            return Unknown("another_refund")
        case status:
            return Unknown(f"status_{status or 'missing'}")


def _state(reply: Reply) -> RefundQueryAnswer:
    status = reply.text_at("data.status")
    if status in ("ACCEPTED", "ENQUEUED", "PROCESSING", "SUBMITTED"):
        return Pending()
    if status == "FAILED":
        code = reply.text_at("data.failureReason.failureCode") or UNDECIDED
        return Failed(REASONS.get(code, "other"), code, final=code != UNDECIDED)
    if status != "COMPLETED":
        # IN_RECONCILIATION: pawaPay itself is finding out.
        return Unknown(status or "status_missing")
    try:
        amount = Money.parse(reply.text_at("data.amount") or "", reply.text_at("data.currency") or "")
    except BadAmount:
        return Unknown("refunded_amount_unreadable")
    return Paid(reply.text_at("data.providerTransactionId"), amount)
