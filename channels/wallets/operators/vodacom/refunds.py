"""Giving money back by reversing the payment: whole or in part.

The reversal's `input_ThirdPartyConversationID` is an R and the refund's UUID without dashes (33 of at most 40
characters), so that a callback about it is told from one about a payment. Vodacom refuses a repeated one (INS-10).
"""

from __future__ import annotations

import re
import uuid

from channels.wallets.doubt import doubt
from channels.wallets.operators.vodacom.codes import code_of, ending_of, real_id
from core.partner_http import Reply
from core.payments.ports import (
    Accepted,
    Failed,
    NotFound,
    Paid,
    Pending,
    RefundAnswer,
    RefundQueryAnswer,
    Unknown,
    WalletRefund,
)

_YES = ("true", "yes", "y", "1")


def reversal_conversation(refund_id: str) -> str:
    return "R" + refund_id.replace("-", "")


def refund_of(conversation: str | None) -> str | None:
    """The refund that a conversation id of ours names; None for anything else."""
    if conversation is None or not re.fullmatch(r"R[0-9a-fA-F]{32}", conversation):
        return None
    return str(uuid.UUID(conversation[1:]))


def reversal_body(
    refund: WalletRefund, transaction_id: str, *, amount: str, country: str, service_provider_code: str
) -> dict[str, str]:
    return {
        "input_ReversalAmount": amount,
        "input_Country": country,
        "input_ServiceProviderCode": service_provider_code,
        "input_ThirdPartyConversationID": reversal_conversation(refund.refund_id),
        "input_TransactionID": transaction_id,
    }


def read_reversal(reply: Reply, asked_as: str, *, waits: bool) -> RefundAnswer:
    """`waits`: a synchronous application, whose INS-0 with a transaction id means that it is done."""
    code = code_of(reply)
    if code == "INS-18":
        # "Invalid transaction id": they do not have this payment. Nothing was reversed.
        return Failed("not_found", code)
    if code != "INS-0":
        return ending_of(code, status=reply.status)
    echoed = real_id(reply.text_at("output_ThirdPartyConversationID"))
    if not reply.ok or (echoed is not None and echoed != asked_as):
        return Unknown("contradictory_answer")
    transaction = real_id(reply.text_at("output_TransactionID"))
    if waits and transaction is not None:
        return Paid(transaction)
    return Accepted(real_id(reply.text_at("output_ConversationID")))


def read_reversal_status(reply: Reply) -> RefundQueryAnswer:
    """The status of the reversal, asked for by its own conversation id."""
    code, state = code_of(reply), (reply.text_at("output_ResponseTransactionStatus") or "").lower()
    transaction = real_id(reply.text_at("output_OriginalTransactionID"))
    if code == "INS-18":
        return NotFound()
    if code != "INS-0" or not reply.ok:
        return Unknown(doubt(reply.status, code))
    match state:
        case "completed":
            return Paid(transaction)
        case "pending":
            return Pending()
        case "failed" | "cancelled" | "expired":
            return Failed("other", state.capitalize())
        case "n/a" if transaction is None:
            return NotFound()
        case _:
            return Unknown(f"status_{state or 'missing'}")


def by_payment(reply: Reply, *, whole: bool) -> RefundQueryAnswer:
    """What the payment's own status says of its reversal. "Reversed" does not tell how much: of a part, a person has to
    look at the report."""
    code = code_of(reply)
    if code != "INS-0" or not reply.ok:
        return Unknown(doubt(reply.status, code))
    told = (reply.text_at("output_Reversed") or "").lower()
    if told in _YES:
        return Paid() if whole else Unknown("reversed_in_part")
    # Of a part given back nobody knows whether "reversed" would be said at all: its "no" proves nothing.
    return NotFound() if told and whole else Unknown("reversal_not_told")
