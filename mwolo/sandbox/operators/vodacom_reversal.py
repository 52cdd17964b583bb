"""Vodacom's reversals in the box: a payment goes back, whole or in part, without the customer being asked."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any, Protocol

from flask import Response
from sqlalchemy import Connection

from mwolo.sandbox.config import SandboxConfig
from mwolo.sandbox.errands import Errands
from mwolo.sandbox.faults import Faults
from mwolo.sandbox.ledger import OperatorLedger
from mwolo.sandbox.movements import RefundAsk
from mwolo.sandbox.store import Row, Store
from mwolo.sandbox.wire import cut_connection, pause, slow_seconds

WALLET = "vodacom"
# An asynchronous application hears of it a moment later.
ASYNC_TAKES_S = 0.2
MOST_CALLBACKS = 6
_FIELDS: Mapping[str, tuple[str, str]] = {
    "input_ReversalAmount": ("INS-15", r"\d+(\.\d{1,2})?"),
    "input_Country": ("INS-21", r"[A-Z]{3}"),
    "input_ServiceProviderCode": ("INS-13", r"[0-9A-Za-z]{4,12}"),
    "input_ThirdPartyConversationID": ("INS-28", r"[\w ]{1,40}"),
    "input_TransactionID": ("INS-18", r"[0-9A-Za-z]{1,40}"),
}
# Why the ledger does not give back → the code. What real ones say of a payment that is back already is not published.
_CODES: Mapping[str, str] = {"unknown_payment": "INS-18", "reversed": "INS-10", "too_much": "INS-15"}

Said = tuple[str, Mapping[str, str] | None]


class News(Protocol):
    """Posts one callback. True when the product took it."""

    def __call__(self, own_id: str, provider_ref: str, transaction: str | None, code: str) -> bool: ...


class Reversals:
    def __init__(
        self,
        config: SandboxConfig,
        store: Store,
        ledger: OperatorLedger,
        faults: Faults,
        errands: Errands,
        news: News,
    ) -> None:
        self._config = config
        self._store = store
        self._ledger = ledger
        self._faults = faults
        self._errands = errands
        self._news = news
        ledger.movements.on_refunded(WALLET, self._stage)
        errands.on("vodacom.reversal", self._tell)

    def take(self, fields: Mapping[str, Any], country: str, phone: str | None) -> Said | Response:
        """One request to reverse: a code and more of the answer, or what is no answer at all."""
        own_id = str(fields.get("input_ThirdPartyConversationID", ""))
        if self._faults.take(WALLET, "throttled", phone, operation="refund") is not None:
            self._ledger.note_request(WALLET, "reversal", own_id, "429")
            return Response("Too Many Requests", 429, content_type="text/plain")
        if self._faults.take(WALLET, "error_before_accept", phone, operation="refund") is not None:
            return "INS-1", None
        if self._faults.take(WALLET, "overloaded", phone, operation="refund") is not None:
            return "INS-16", None
        wrong = _wrong(fields, country)
        if wrong is not None:
            return wrong, None
        if self._ledger.movements.refund_of(WALLET, own_id) is not None:
            return "INS-10", {"output_TransactionID": "N/A"}
        back = self._reverse(fields, own_id, phone)
        return self._after(back, phone)

    def _reverse(self, fields: Mapping[str, Any], own_id: str, phone: str | None) -> Row:
        plan: dict[str, Any] = {}
        refused = self._faults.take(WALLET, "refused", phone, operation="refund")
        if refused is not None:
            plan["refused"] = str(refused.get("code", "INS-2006"))
        for name, kept in (("never_final", "never_final"), ("lost_callback", "untold")):
            if self._faults.take(WALLET, name, phone, operation="refund") is not None:
                plan[kept] = {}
        minor = round(float(fields["input_ReversalAmount"]) * 100)
        delay_s = ASYNC_TAKES_S if self._config.vodacom_mode == "async" else 0.0
        back, _ = self._ledger.refund(
            RefundAsk(WALLET, own_id, str(fields["input_TransactionID"]), minor, delay_s, plan)
        )
        return back

    def _after(self, back: Row, phone: str | None) -> Said | Response:
        """It is on the books. What the caller hears of it is another matter."""
        if self._faults.take(WALLET, "error_after_accept", phone, operation="refund") is not None:
            return "INS-1", None
        if self._faults.take(WALLET, "lost_answer", phone, operation="refund") is not None:
            self._ledger.note_request(WALLET, "reversal", back["own_id"], "(line cut)")
            return cut_connection()
        slow = self._faults.take(WALLET, "slow", phone, operation="refund")
        if slow is not None:
            pause(self._store.bell, slow_seconds(slow))
        if back["state"] == "failed":
            return _code(back), {"output_TransactionID": "N/A"}
        return "INS-0", {
            "output_TransactionID": back["provider_txn_id"] or "N/A",
            "output_ConversationID": back["provider_ref"],
        }

    def status_of(self, reference: str, query_id: str) -> dict[str, str] | None:
        """What a status query says of a reversal, by its own id, the operator's, or its transaction id."""
        back = self._ledger.movements.refund_of(WALLET, reference)
        if (
            back is None
            or self._faults.take(WALLET, "not_indexed", back["phone"], operation="query_refund") is not None
        ):
            return None
        return {
            "output_ConversationID": secrets.token_hex(16),
            "output_ThirdPartyConversationID": query_id,
            "output_ResponseTransactionStatus": {"asked": "Pending", "paid": "Completed"}.get(back["state"], "Failed"),
            "output_OriginalTransactionID": back["provider_txn_id"] or "N/A",
            "output_Reversed": "false",
        }

    def took_back(self, entry: Row) -> bool:
        """Whether any of a payment was reversed by whoever it was paid to."""
        movements = self._ledger.movements
        paid = (back for back in movements.of(WALLET, "refund") if back["state"] == "paid")
        return any(movements.one(back["original_id"])["entry_id"] == entry["id"] for back in paid)

    def _stage(self, db: Connection, back: Row) -> None:
        # Only what was taken on is news; a refusal stood in the answer.
        at_once = back["state"] == "failed"
        if self._config.vodacom_mode == "async" and not at_once and "untold" not in back["plan"]:
            self._errands.add(db, "vodacom.reversal", {"refund": back["id"]})

    def _tell(self, body: Mapping[str, Any], tries: int) -> float | None:
        back = self._ledger.movements.one(body["refund"])
        told = self._news(back["own_id"], back["provider_ref"], back["provider_txn_id"], _code(back))
        return None if told or tries + 1 >= MOST_CALLBACKS else float(self._config.callback_retry_s * 2**tries)


def _code(back: Row) -> str:
    return "INS-0" if back["state"] == "paid" else _CODES.get(back["reason"] or "", back["reason"] or "INS-6")


def _wrong(fields: Mapping[str, Any], country: str) -> str | None:
    """The code for the first thing wrong with a reversal, or None."""
    if any(name not in fields for name in _FIELDS):
        return "INS-20"
    for name, (code, shape) in _FIELDS.items():
        value = fields[name]
        if not isinstance(value, str) or not re.fullmatch(shape, value, re.ASCII):
            return code
    if float(fields["input_ReversalAmount"]) <= 0:
        return "INS-15"
    return None if fields["input_Country"] == country else "INS-21"
