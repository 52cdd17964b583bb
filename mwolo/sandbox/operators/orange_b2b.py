"""Orange Money RDC's REST B2B API on the wire: tokens, cashout (a customer pays), cashin (money back), callbacks.

As one project's notes describe it; where they are silent (the words of errors, a status call) the box speaks for
itself. The callback address is fixed, as at a subscription.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import secrets
import threading
import uuid
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, jsonify, request
from sqlalchemy import Connection

from mwolo.sandbox.callbacks import Callbacks
from mwolo.sandbox.config import SandboxConfig
from mwolo.sandbox.errands import Errands
from mwolo.sandbox.faults import WALLET_FAULTS, Faults
from mwolo.sandbox.ledger import FINAL, Ask, OperatorLedger
from mwolo.sandbox.movements import RefundAsk
from mwolo.sandbox.operators.orange_books import BRAND, WALLET, payment_to_give_back
from mwolo.sandbox.operators.orange_rules import ending_code
from mwolo.sandbox.outbound import Outbound
from mwolo.sandbox.store import Now, Row, Store
from mwolo.sandbox.wire import cut_connection, pause, plan_for, slow_seconds

log = logging.getLogger(__name__)

MOST_CALLBACKS = 5
_WORDS: Mapping[str, str] = {"asked": "PENDING", "paid": "SUCCESS"}


class OrangeB2bOperator:
    """The API. Mounted at /orange-b2b."""

    def __init__(
        self,
        config: SandboxConfig,
        store: Store,
        ledger: OperatorLedger,
        faults: Faults,
        errands: Errands,
        outbound: Outbound,
        now: Now,
    ) -> None:
        self._config = config
        self._store = store
        self._ledger = ledger
        self._faults = faults
        self._errands = errands
        self._outbound = outbound
        self._now = now
        # A restart forgets them, as it would any cache: whoever holds one is told 401 and asks for another.
        self._tokens: dict[str, float] = {}
        self._lock = threading.Lock()
        self._callbacks = Callbacks(
            WALLET,
            store,
            ledger,
            errands,
            now,
            self._post_callback,
            retry_s=config.callback_retry_s,
            most=MOST_CALLBACKS,
            name="orange_b2b",
        )
        faults.plays(WALLET, WALLET_FAULTS)
        ledger.on_settled(WALLET, self._stage_callback)
        ledger.movements.on_refunded(WALLET, self._stage_refund_callback)
        errands.on("orange_b2b.refund_callback", self._refund_callback)

    def blueprint(self) -> Blueprint:
        pages = Blueprint("orange_b2b", __name__, url_prefix="/orange-b2b")
        calls = "/orange-money-b2b/v1/cd/transactions"
        pages.add_url_rule("/oauth/v3/token", view_func=self.token, methods=["POST"])
        pages.add_url_rule(f"{calls}/cashout", view_func=self.cashout, methods=["POST"])
        pages.add_url_rule(f"{calls}/cashin", view_func=self.cashin, methods=["POST"])
        pages.add_url_rule(f"{calls}/<own_id>", view_func=self.status)
        return pages

    # -- tokens

    def token(self) -> Response:
        known = f"{self._config.orange_client_id}:{self._config.orange_client_secret}"
        if request.headers.get("Authorization") != f"Basic {base64.b64encode(known.encode()).decode()}":
            return _error(401, 41, "Invalid credentials")
        if request.form.get("grant_type") != "client_credentials":
            return _error(400, 22, "Invalid body field")
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._tokens[token] = self._now() + self._config.orange_token_s
        return jsonify({
            "token_type": "Bearer",
            "access_token": token,
            "expires_in": int(self._config.orange_token_s),
        })  # fmt: skip

    def _token_problem(self, phone: str | None, operation: str) -> Response | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        with self._lock:
            if self._faults.take(WALLET, "expired_token", phone, operation=operation) is not None:
                self._tokens.pop(token, None)
            alive = self._tokens.get(token, 0.0) > self._now()
        return None if alive else _error(401, 42, "Expired credentials")

    # -- a customer pays

    def cashout(self) -> Response:
        asked = request.get_json(silent=True)
        asked = asked if isinstance(asked, dict) else {}
        own_id, phone = str(asked.get("transactionId", "")), f"+243{asked.get('peerId', '')}"
        trouble = self._token_problem(phone, "start") or self._trouble("cashout", own_id, phone, "start")
        if trouble is not None:
            return trouble
        problem = self._problem(asked)
        if problem is None and self._seen(own_id):
            problem = _error(409, 70, "Transaction already exists")
        if problem is not None:
            self._ledger.note_request(WALLET, "cashout", own_id, str(problem.status_code))
            return problem
        entry, new = self._ledger.ask(self._ask(asked, phone))
        if not new:
            return _error(409, 70, "Transaction already exists")
        with self._store.begin() as db:
            self._callbacks.stage_false(db, entry)
        return self._after_accepting(entry, phone)

    def _trouble(self, call: str, own_id: str, phone: str, kind: str) -> Response | None:
        """The faults of a platform that takes nothing on. `kind`: what `params.operation` calls it."""
        for fault, answer in (
            ("throttled", _error(429, 53, "Too many requests")),
            ("overloaded", _error(503, 5, "The service is temporarily unavailable")),
            ("error_before_accept", _error(500, 1, "Internal error")),
        ):
            if self._faults.take(WALLET, fault, phone, operation=kind) is not None:
                self._ledger.note_request(WALLET, call, own_id, str(answer.status_code))
                return answer
        return None

    def _ask(self, asked: Mapping[str, Any], phone: str) -> Ask:
        return Ask(
            wallet=WALLET,
            own_id=asked["transactionId"],
            phone=phone,
            brand=BRAND,
            minor=_minor(asked["amount"]),
            currency=asked["currency"],
            purpose="facture",
            plan=plan_for(self._faults, WALLET, phone, refusal="00084"),
            asked_as={"api": "b2b", "posId": asked["posId"]},
        )

    def _after_accepting(self, entry: Row, phone: str) -> Response:
        """The request is on the books. What the caller hears of it is another matter."""
        if self._faults.take(WALLET, "error_after_accept", phone, operation="start") is not None:
            self._ledger.note_request(WALLET, "cashout", entry["own_id"], "500")
            return _error(500, 1, "Internal error")
        if self._faults.take(WALLET, "lost_answer", phone, operation="start") is not None:
            self._ledger.note_request(WALLET, "cashout", entry["own_id"], "(line cut)")
            return cut_connection()
        self._dawdle(phone, "start")
        if entry["plan"].get("callback_first"):
            entry = self._ledger.wait_until_final(entry["id"], self._config.prompt_lifetime_s + 5)
            if entry["state"] in FINAL:
                self._callbacks.now(entry)
        return self._taken("cashout", entry)

    def _dawdle(self, phone: str | None, operation: str) -> None:
        slow = self._faults.take(WALLET, "slow", phone, operation=operation)
        if slow is not None:
            pause(self._store.bell, slow_seconds(slow))

    def _taken(self, kind: str, row: Row) -> Response:
        self._ledger.note_request(WALLET, kind, row["own_id"], "202 PENDING")
        reply = jsonify(status="PENDING", message="Transaction is being processed", transactionData=_data(kind, row))
        reply.status_code = 202
        return reply

    # -- money back, and a status call of the box's own making

    def cashin(self) -> Response:
        asked = request.get_json(silent=True)
        asked = asked if isinstance(asked, dict) else {}
        own_id, phone = str(asked.get("transactionId", "")), f"+243{asked.get('peerId', '')}"
        trouble = self._token_problem(phone, "refund") or self._trouble("cashin", own_id, phone, "refund")
        if trouble is not None:
            return trouble
        problem = self._problem(asked)
        if problem is None and self._seen(own_id):
            problem = _error(409, 70, "Transaction already exists")
        if problem is not None:
            self._ledger.note_request(WALLET, "cashin", own_id, str(problem.status_code))
            return problem
        minor = _minor(asked["amount"])
        payment = payment_to_give_back(self._ledger.movements, phone, asked["currency"], minor)
        told = {"api": "b2b", "posId": asked["posId"]}
        delay_s = max(self._config.delivery_delay_s, 0.01)
        refund, _ = self._ledger.refund(RefundAsk(WALLET, own_id, payment, minor, delay_s=delay_s, asked_as=told))
        if self._faults.take(WALLET, "error_after_accept", phone, operation="refund") is not None:
            self._ledger.note_request(WALLET, "cashin", own_id, "500")
            return _error(500, 1, "Internal error")
        if self._faults.take(WALLET, "lost_answer", phone, operation="refund") is not None:
            self._ledger.note_request(WALLET, "cashin", own_id, "(line cut)")
            return cut_connection()
        self._dawdle(phone, "refund")
        return self._taken("cashin", refund)

    def status(self, own_id: str) -> Response:
        row = self._found(own_id)
        phone = None if row is None else row["phone"]
        problem = self._token_problem(phone, "query")
        if problem is not None:
            return problem
        self._dawdle(phone, "query")
        if self._faults.take(WALLET, "lost_answer", phone, operation="query") is not None:
            self._ledger.note_request(WALLET, "query", own_id, "(line cut)")
            return cut_connection()
        if row is None:
            self._ledger.note_request(WALLET, "query", own_id, "404")
            return _error(404, 61, "Transaction not found")
        word = _WORDS.get(row["state"], "FAILED")
        self._ledger.note_request(WALLET, "query", own_id, word)
        # Entries are payments; what has a `kind` has moved back.
        told: dict[str, Any] = {"status": word, "transactionData": _data("cashin" if "kind" in row else "cashout", row)}
        if word == "FAILED":
            told["errorCode"] = ending_code(row["reason"])
        return jsonify(told)

    def _problem(self, asked: Mapping[str, Any]) -> Response | None:
        """What is wrong with the body of a cashout or cashin."""
        if asked.get("posId") != self._config.orange_pos_id or asked.get("peerIdType") != "msisdn":
            return _error(400, 23, "Invalid posId or peerIdType")
        if not re.fullmatch(r"[89]\d{8}", str(asked.get("peerId", ""))):
            return _error(400, 24, "Invalid peerId")
        amount, currency = str(asked.get("amount", "")), asked.get("currency")
        shape = r"[1-9]\d{0,11}" if currency == "CDF" else r"\d{1,9}(\.\d{1,2})?"
        if currency not in ("CDF", "USD") or not re.fullmatch(shape, amount) or _minor(amount) <= 0:
            return _error(400, 25, "Invalid amount or currency")
        try:
            uuid.UUID(str(asked.get("transactionId", "")))
        except ValueError:
            return _error(400, 26, "Invalid transactionId")
        return None

    def _found(self, own_id: str) -> Row | None:
        """A payment or refund by the caller's id alone."""
        for row in (self._ledger.entry(WALLET, own_id), self._ledger.movements.refund_of(WALLET, own_id)):
            if row is not None and row["own_id"] == own_id:
                return row
        return None

    def _seen(self, own_id: str) -> bool:
        return self._found(own_id) is not None

    # -- callbacks

    def _stage_callback(self, db: Connection, entry: Row) -> None:
        if entry["asked_as"].get("api") == "b2b":
            self._callbacks.stage(db, entry)

    def _stage_refund_callback(self, db: Connection, refund: Row) -> None:
        if refund["asked_as"].get("api") == "b2b":
            self._errands.add(db, "orange_b2b.refund_callback", {"refund": refund["id"]})

    def _refund_callback(self, body: Mapping[str, Any], tries: int) -> float | None:
        refund = self._ledger.movements.one(body["refund"])
        if self._post_news("cashin", refund) or tries + 1 >= MOST_CALLBACKS:
            return None
        return float(self._config.callback_retry_s * 2**tries)

    def _post_callback(self, entry: Mapping[Any, Any]) -> bool:
        return self._post_news("cashout", entry)

    def _post_news(self, kind: str, row: Mapping[Any, Any]) -> bool:
        news: dict[str, Any] = {
            "type": kind,
            "partnerTransactionId": row["own_id"],
            "transactionStatus": _WORDS.get(row["state"], "FAILED"),
            "transactionId": row["provider_txn_id"] or row["provider_ref"],
            "amount": _amount(row),
            "currency": row["currency"],
        }
        if row["state"] not in _WORDS:
            news["errorCode"] = ending_code(row["reason"])
        if not self._config.orange_callback_url:
            return True
        headers = {"Content-Type": "application/json"}
        answer = self._outbound.post(self._config.orange_callback_url, json.dumps(news).encode(), headers)
        if answer.status != 200:
            log.warning("orange callback not taken: %s %s", answer.status, answer.problem)
        return answer.status == 200


def _data(kind: str, row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "type": kind,
        "peerId": row["phone"][-9:],
        "amount": _amount(row),
        "currency": row["currency"],
        "posId": row["asked_as"].get("posId"),
        "transactionId": row["own_id"],
        "txnId": row["provider_txn_id"] or row["provider_ref"],
    }


def _amount(row: Mapping[Any, Any]) -> int | float:
    """A JSON number, as the one sample has it."""
    whole, cents = divmod(row["minor"], 100)
    return row["minor"] / 100 if cents else int(whole)


def _minor(amount: object) -> int:
    return round(float(str(amount)) * 100)


def _error(status: int, code: int, message: str) -> Response:
    reply = jsonify(code=code, message=message, description=message)
    reply.status_code = status
    return reply
