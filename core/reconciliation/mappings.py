"""What we expect of each operator's file before the office has said otherwise: data, not code.

Only `mpesa_ke` follows a report that many have seen (the organisation portal's); the others are guesses built from the
names these operators use in their APIs. The office corrects them on its first import, and its word is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.reconciliation.model import SavedMapping

_DONE = ("completed", "complete", "success", "successful", "succès", "succes", "réussi", "reussi", "ok", "ts")
_NOT_DONE = (
    "failed", "failure", "échec", "echec", "pending", "en attente", "cancelled", "annulé", "expired", "declined",
    "rejected", "tf", "tip", "ta", "te",
)  # fmt: skip
_KINDS = {
    "payment": "payment", "paiement": "payment", "c2b": "payment", "collection": "payment", "deposit": "payment",
    "merchant payment": "payment", "refund": "refund", "remboursement": "refund", "b2c": "refund",
    "reversal": "reversal", "annulation": "reversal", "fee": "fee", "frais": "fee", "charge": "fee",
    "commission": "fee", "payout": "payout", "settlement": "payout", "withdrawal": "payout", "versement": "payout",
    "b2b": "payout", "adjustment": "other", "top up": "other",
}  # fmt: skip

_USUAL: dict[str, Any] = {
    "zone": "Africa/Kinshasa",
    "decimal": ".",
    "kinds": _KINDS,
    "done": _DONE,
    "not_done": _NOT_DONE,
}

# wallet → (columns, options)
_GUESSES: Mapping[str, tuple[Mapping[str, str], Mapping[str, Any]]] = {
    "vodacom": (
        {
            "provider_txn_id": "Receipt No.",
            "own_id": "Third Party Reference",
            "at": "Completion Time",
            "amount_in": "Paid In",
            "amount_out": "Withdrawn",
            "currency": "Currency",
            "kind": "Reason Type",
            "state": "Transaction Status",
            "payer": "Opposite Party",
            "reference": "Reference",
            "original_txn_id": "Linked Transaction ID",
        },
        {
            **_USUAL,
            "thousands": ",",
            "kinds": _KINDS | {"customer payment*": "payment", "pay bill*": "payment", "payment reversal*": "reversal"},
        },
    ),
    "airtel": (
        {
            "provider_txn_id": "Airtel Money ID",
            "own_id": "External Transaction ID",
            "at": "Transaction Date",
            "amount": "Amount",
            "fee": "Service Charge",
            "kind": "Transaction Type",
            "state": "Status",
            "payer": "Sender MSISDN",
            "reference": "Reference",
            "original_txn_id": "Original Transaction ID",
        },
        {**_USUAL, "thousands": ","},
    ),
    "orange": (
        {
            "provider_txn_id": "Transaction ID",
            "own_id": "Partner Transaction ID",
            "at": "Date",
            "amount": "Montant",
            "currency": "Devise",
            "fee": "Frais",
            "kind": "Type",
            "state": "Statut",
            "payer": "Numéro client",
            "reference": "Référence",
            "original_txn_id": "Transaction d'origine",
        },
        {**_USUAL, "thousands": " ", "decimal": ","},
    ),
    "mpesa_ke": (
        {
            "provider_txn_id": "Receipt No.",
            "at": "Completion Time",
            "amount_in": "Paid In",
            "amount_out": "Withdrawn",
            "kind": "Details",
            "state": "Transaction Status",
            "payer": "Other Party Info",
            "reference": "A/C No.",
            "original_txn_id": "Linked Transaction ID",
        },
        {
            "zone": "Africa/Nairobi",
            "decimal": ".",
            "thousands": ",",
            "done": ("completed",),
            "not_done": ("failed", "cancelled", "declined", "expired", "pending"),
            "kinds": {
                "pay bill from*": "payment", "pay bill online from*": "payment", "pay utility*": "payment",
                "customer payment*": "payment", "pay bill charge*": "fee", "business pay bill charge*": "fee",
                "pay merchant charge*": "fee", "reversal*": "reversal", "transaction reversal*": "reversal",
                "promotion payment*": "refund", "business payment*": "refund",
                "organization settlement*": "payout", "withdraw*": "payout", "business to bank*": "payout",
                "fund*": "other",
            },
        },
    ),
    "pawapay": (
        {
            "provider_txn_id": "Provider transaction ID",
            "own_id": "Transaction ID",
            "own_id_2": "Client reference ID",
            "at": "Date",
            "amount": "Amount",
            "currency": "Currency",
            "fee": "Fee",
            "kind": "Transaction type",
            "state": "Status",
            "payer": "Phone number",
            "original_txn_id": "Related transaction ID",
        },
        {**_USUAL, "zone": "UTC"},
    ),
}  # fmt: skip


def guess(wallet: str, currency: str) -> SavedMapping | None:
    """Where a form starts for this wallet; None for one we know nothing of."""
    found = _GUESSES.get(wallet)
    if found is None:
        return None
    columns, options = found
    return SavedMapping(wallet, currency, dict(columns), _plain(options), guessed=True)


def _plain(options: Mapping[str, Any]) -> dict[str, object]:
    """As the database will hold it: lists, not tuples."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
