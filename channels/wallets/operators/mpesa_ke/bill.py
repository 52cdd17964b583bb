"""Money that customers send by our bill number from the M-Pesa menu (C2B): validation, confirmation, their answers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from channels.wallets.operators.mpesa_ke.codes import Trouble, amount_in, moment_in, real_id
from core.partner_http import Reply, parse_json, text_at
from core.payments.ports import Ack, BillPayment, BillRefusal, Finding, Malformed

# Daraja takes no address with one of these in it, in any case; a random secret may contain one by chance.
_FORBIDDEN = re.compile(r"m[-_. ]?pesa|safaricom|exe|cmd|sql|query", re.IGNORECASE)
_REFUSALS: Mapping[BillRefusal, str] = {
    "unknown_account": "C2B00012",
    "amount_refused": "C2B00013",
    "other": "C2B00016",
}
# A digest of the number has 64 characters; longer texts are no payer.
_LONGEST_PAYER = 64


def forbidden_in(address: str) -> str | None:
    """The word for which Daraja refuses a callback address, None when there is none."""
    found = _FORBIDDEN.search(address)
    return found.group() if found else None


def read_notice(body: bytes, short_codes: frozenset[str]) -> BillPayment | Malformed:
    """A validation or a confirmation; they have the same shape. `short_codes`: ours.

    The payer is no phone number: version 1 sends a digest of it, version 2 a masked one.
    """
    try:
        said = parse_json(body)
    except ValueError:
        return Malformed("not JSON")
    receipt, amount = real_id(text_at(said, "TransID")), amount_in(text_at(said, "TransAmount"))
    if receipt is None:
        return Malformed("no TransID")
    if amount is None or amount.minor <= 0:
        return Malformed("no amount")
    if text_at(said, "BusinessShortCode") not in short_codes:
        return Malformed("the short code is not ours")
    return BillPayment(
        provider_txn_id=receipt,
        amount=amount,
        reference=text_at(said, "BillRefNumber") or "",
        payer=(text_at(said, "MSISDN") or "")[:_LONGEST_PAYER] or None,
        paid_at=moment_in(text_at(said, "TransTime")),
    )


def answer(refusal: BillRefusal | None) -> Ack:
    """What the payer's menu is told before the money moves."""
    if refusal is None:
        return _said("0", "Accepted")
    return _said(_REFUSALS[refusal], "Rejected")


def acknowledgement(kind: str) -> Ack:
    return _said(0, "Success" if kind == "confirm" else "Accepted")


def registered(reply: Reply, trouble: Trouble | None, version: str) -> Finding:
    """What came of registering our addresses. Doing it again is no fault."""
    what = f"bill number addresses, API {version}"
    if trouble is None and set(reply.text_at("ResponseCode") or "-") == {"0"}:
        return Finding(True, f"{what}: registered")
    code, message = (trouble.code, trouble.message) if trouble else ("", reply.text_at("ResponseDescription") or "")
    if "already registered" in message.lower() or reply.status == 409:
        advice = "If the addresses have changed since, delete the old ones in the portal's URL management first."
        return Finding(True, f"{what}: already registered", advice)
    if code == "401.003.01":
        other = "v1" if version == "v2" else "v2"
        advice = f"The application has no such product; set MWOLO_MPESA_KE_C2B_VERSION to {other}, or order it."
        return Finding(False, f"{what}: not in this application", advice)
    return Finding(
        False, f"{what}: refused, {code or reply.status} {message}".rstrip(), "See docs/wallets/mpesa_ke.md."
    )


def _said(code: str | int, description: str) -> Ack:
    return Ack(json.dumps({"ResultCode": code, "ResultDesc": description}).encode())
