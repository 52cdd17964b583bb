"""Vodacom M-Pesa OpenAPI on the wire: sessions, customer-to-business payments, status queries, the callback.

A synchronous application's call stays open until the customer has typed the PIN; an asynchronous one is answered at
once and called back.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import secrets
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import padding
from flask import Blueprint, Response, jsonify, request
from sqlalchemy import Connection, insert, select, update

from mwolo.sandbox.callbacks import Callbacks
from mwolo.sandbox.config import SandboxConfig
from mwolo.sandbox.errands import Errands
from mwolo.sandbox.faults import WALLET_FAULTS, Faults
from mwolo.sandbox.ledger import FINAL, Ask, OperatorLedger
from mwolo.sandbox.operators.keys import OperatorKeys
from mwolo.sandbox.operators.vodacom_codes import CODES, MARKETS, QUERY_FIELDS, TEST_NUMBERS, c2b_fault, ending_code
from mwolo.sandbox.operators.vodacom_reversal import Reversals
from mwolo.sandbox.outbound import Outbound
from mwolo.sandbox.store import Now, Row, Store, vodacom_sessions
from mwolo.sandbox.wire import cut_connection, pause, plan_for, slow_seconds

log = logging.getLogger(__name__)

WALLET = "vodacom"
BRAND = "mpesa"
# The retry policy of the real callbacks is not published; the box gives up after this many.
MOST_CALLBACKS = 6
# Its answers carry no time that a clock could spoil but the report's; a session is its token.
FAULTS = (*WALLET_FAULTS, "expired_session", "not_indexed")

_STATUSES: Mapping[str, str] = {"paid": "Completed", "expired": "Expired", "asked": "Pending"}


class VodacomOperator:
    """The operator's server. Mounted at /vodacom."""

    def __init__(
        self,
        config: SandboxConfig,
        store: Store,
        ledger: OperatorLedger,
        faults: Faults,
        errands: Errands,
        outbound: Outbound,
        keys: OperatorKeys,
        now: Now,
    ) -> None:
        self._config = config
        self._store = store
        self._ledger = ledger
        self._faults = faults
        self._errands = errands
        self._outbound = outbound
        self._keys = keys
        self._now = now
        retry_s, most = config.callback_retry_s, MOST_CALLBACKS
        self._callbacks = Callbacks(
            WALLET, store, ledger, errands, now, self._post_callback, retry_s=retry_s, most=most
        )
        ledger.on_settled(WALLET, self._stage_callback)
        faults.plays(WALLET, FAULTS)
        self._reversals = Reversals(config, store, ledger, faults, errands, self._post_news)

    def blueprint(self) -> Blueprint:
        pages = Blueprint("vodacom", __name__, url_prefix="/vodacom/<environment>/ipg/v2/<market>")
        pages.add_url_rule("/getSession/", view_func=self.get_session, strict_slashes=False)
        pages.add_url_rule("/c2bPayment/singleStage/", view_func=self.c2b, methods=["POST"], strict_slashes=False)
        pages.add_url_rule("/reversal/", view_func=self.reversal, methods=["PUT"], strict_slashes=False)
        pages.add_url_rule("/queryTransactionStatus/", view_func=self.query, strict_slashes=False)
        return pages

    # -- sessions

    def get_session(self, environment: str, market: str) -> Response:
        if market not in MARKETS:
            return self._said("getSession", None, "INS-998")
        if self._bearer() != self._config.vodacom_api_key:
            return self._said("getSession", None, "INS-2")
        session = secrets.token_hex(16)
        live_at = self._now() + self._config.session_warmup_s
        row = {"id": session, "live_at": live_at, "expires": live_at + self._config.session_lifetime_s}
        with self._store.begin() as db:
            db.execute(insert(vodacom_sessions).values(row))
        return self._said("getSession", None, "INS-0", {"output_SessionID": session}, status=200)

    def _bearer(self) -> str | None:
        """What the Authorization header hides, or None."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            sealed = base64.b64decode(token.strip(), validate=True)
            return self._keys.vodacom.decrypt(sealed, padding.PKCS1v15()).decode()
        except (binascii.Error, ValueError):
            return None

    def _session_problem(self, phone: str | None, operation: str = "start") -> str | None:
        session = self._bearer()
        here = vodacom_sessions.c.id == session
        with self._store.read() as db:
            row = db.execute(select(vodacom_sessions).where(here)).mappings().first()
        if row is None:
            return "Invalid session id"
        names = ("expired_session", "expired_token")
        if any(self._faults.take(WALLET, name, phone, operation=operation) is not None for name in names):
            with self._store.begin() as db:
                db.execute(update(vodacom_sessions).where(here).values(expires=self._now()))
            return "Session id has expired"
        if self._now() < row["live_at"]:
            return "Session id is not live yet"
        return "Session id has expired" if self._now() >= row["expires"] else None

    # -- a customer pays

    def c2b(self, environment: str, market: str) -> Response:
        fields = request.get_json(silent=True)
        fields = fields if isinstance(fields, dict) else {}
        own_id = str(fields.get("input_ThirdPartyConversationID", "")) or None
        msisdn = str(fields.get("input_CustomerMSISDN", ""))
        phone = f"+{msisdn}"
        problem = self._session_problem(phone)
        if problem is not None:
            return self._unauthorised("c2b", own_id, problem)
        if market not in MARKETS:
            return self._said("c2b", own_id, "INS-998")
        if self._faults.take(WALLET, "throttled", phone, operation="start") is not None:
            self._ledger.note_request(WALLET, "c2b", own_id, "429")
            return Response("Too Many Requests", 429, content_type="text/plain")
        if self._faults.take(WALLET, "error_before_accept", phone) is not None:
            return self._said("c2b", own_id, "INS-1")
        if self._faults.take(WALLET, "overloaded", phone) is not None:
            return self._said("c2b", own_id, "INS-16")
        fault = c2b_fault(fields, market)
        if fault is not None:
            return self._said("c2b", own_id, fault)
        if self._ledger.entry(WALLET, str(own_id)) is not None:
            return self._said("c2b", own_id, "INS-10", {"output_TransactionID": "N/A"})
        entry, new = self._ledger.ask(self._ask(fields, phone))
        if not new:
            return self._said("c2b", own_id, "INS-10", {"output_TransactionID": "N/A"})
        if self._config.vodacom_mode == "async":
            with self._store.begin() as db:
                self._callbacks.stage_false(db, entry)
        return self._after_accepting(entry, phone)

    def _ask(self, fields: Mapping[str, str], phone: str) -> Ask:
        msisdn = fields["input_CustomerMSISDN"]
        plan = plan_for(self._faults, WALLET, phone, refusal="INS-990")
        if msisdn in TEST_NUMBERS:
            plan["auto"] = TEST_NUMBERS[msisdn]
        return Ask(
            wallet=WALLET,
            own_id=fields["input_ThirdPartyConversationID"],
            phone=phone,
            brand=BRAND,
            minor=round(float(fields["input_Amount"]) * 100),
            currency=fields["input_Currency"],
            purpose=fields["input_TransactionReference"],
            plan=plan,
            asked_as={"reference": fields["input_TransactionReference"]},
        )

    def _after_accepting(self, entry: Row, phone: str) -> Response:
        """The request is on the books. What the caller hears of it is another matter."""
        own_id = entry["own_id"]
        if self._faults.take(WALLET, "error_after_accept", phone) is not None:
            return self._said("c2b", own_id, "INS-1")
        cut = self._faults.take(WALLET, "lost_answer", phone, operation="start")
        if cut is not None and cut.get("when") != "final":
            self._ledger.note_request(WALLET, "c2b", own_id, "(line cut)")
            return cut_connection()
        slow = self._faults.take(WALLET, "slow", phone, operation="start")
        if self._config.vodacom_mode == "sync" or entry["plan"].get("callback_first"):
            entry = self._ledger.wait_until_final(entry["id"], self._patience(entry))
        if entry["plan"].get("callback_first") and self._config.vodacom_mode == "async":
            self._callbacks.now(entry)
        if slow is not None:
            pause(self._store.bell, slow_seconds(slow))
        if cut is not None:
            self._ledger.note_request(WALLET, "c2b", own_id, "(line cut)")
            return cut_connection()
        return self._accepted(entry) if self._config.vodacom_mode == "async" else self._outcome(entry)

    def _patience(self, entry: Row) -> float:
        """How long a call stays open: until the prompt has ended, with a margin so that its end comes first."""
        late = entry["plan"].get("late_success") or {}
        lifetime_s = float(late.get("expire_after", self._config.prompt_lifetime_s))
        return lifetime_s if "never_final" in entry["plan"] else lifetime_s + 5.0

    def _accepted(self, entry: Row) -> Response:
        if entry["state"] == "failed" and entry["prompts"] == 0 and str(entry["reason"]).startswith("INS-"):
            return self._outcome(entry)
        return self._said("c2b", entry["own_id"], "INS-0", {"output_ConversationID": entry["provider_ref"]})

    def _outcome(self, entry: Row) -> Response:
        ids = {
            "output_TransactionID": entry["provider_txn_id"] or "N/A",
            "output_ConversationID": entry["provider_ref"],
        }
        if entry["state"] == "paid":
            return self._said("c2b", entry["own_id"], "INS-0", ids)
        code = ending_code(entry["reason"]) if entry["state"] in FINAL else "INS-9"
        return self._said("c2b", entry["own_id"], code, ids)

    # -- a status query

    def query(self, environment: str, market: str) -> Response:
        asked = request.args
        reference = asked.get("input_QueryReference", "")
        problem = self._session_problem(None, "query")
        if problem is not None:
            return self._unauthorised("query", reference, problem)
        if market not in MARKETS:
            return self._said("query", reference, "INS-998")
        if any(not asked.get(name) for name in QUERY_FIELDS):
            return self._said("query", reference, "INS-20")
        entry = self._ledger.entry(WALLET, reference)
        phone = None if entry is None else entry["phone"]
        slow = self._faults.take(WALLET, "slow", phone, operation="query")
        if slow is not None:
            pause(self._store.bell, slow_seconds(slow))
        if self._faults.take(WALLET, "lost_answer", phone, operation="query") is not None:
            self._ledger.note_request(WALLET, "query", reference, "(line cut)")
            return cut_connection()
        if self._faults.take(WALLET, "not_indexed", phone) is not None:
            return self._said("query", reference, "INS-23")
        if entry is None:
            back = self._reversals.status_of(reference, asked["input_ThirdPartyConversationID"])
            if back is not None:
                return self._said("query", reference, "INS-0", back, status=200)
            return self._said("query", reference, "INS-18")
        return self._status(reference, entry, asked["input_ThirdPartyConversationID"])

    def _status(self, reference: str, entry: Row, query_id: str) -> Response:
        found = {
            # The question's own ids; the payment's stand in the "original" field.
            "output_ConversationID": secrets.token_hex(16),
            "output_ThirdPartyConversationID": query_id,
            "output_ResponseTransactionStatus": _STATUSES.get(
                entry["state"], "Cancelled" if entry["reason"] == "declined" else "Failed"
            ),
            "output_OriginalTransactionID": entry["provider_txn_id"] or "N/A",
            "output_Reversed": "true" if entry["reversed"] or self._reversals.took_back(entry) else "false",
        }
        return self._said("query", reference, "INS-0", found, status=200)

    # -- a payment is reversed

    def reversal(self, environment: str, market: str) -> Response:
        asked = request.get_json(silent=True)
        fields: Mapping[str, Any] = asked if isinstance(asked, dict) else {}
        own_id = str(fields.get("input_ThirdPartyConversationID", "")) or None
        entry = self._ledger.entry(WALLET, str(fields.get("input_TransactionID", "")))
        phone = None if entry is None else entry["phone"]
        problem = self._session_problem(phone, "refund")
        if problem is not None:
            return self._unauthorised("reversal", own_id, problem)
        if market not in MARKETS:
            return self._said("reversal", own_id, "INS-998")
        said = self._reversals.take(fields, MARKETS[market][0], phone)
        if isinstance(said, Response):
            return said
        code, extra = said
        return self._said("reversal", own_id, code, extra)

    # -- the callback of an asynchronous application

    def _stage_callback(self, db: Connection, entry: Row) -> None:
        if self._config.vodacom_mode == "async":
            self._callbacks.stage(db, entry)

    def _post_callback(self, entry: Mapping[Any, Any]) -> bool:
        code = "INS-0" if entry["state"] == "paid" else ending_code(entry["reason"])
        return self._post_news(entry["own_id"], entry["provider_ref"], entry["provider_txn_id"], code)

    def _post_news(self, own_id: str, provider_ref: str, transaction: str | None, code: str) -> bool:
        news = {
            "input_OriginalConversationID": provider_ref,
            "input_TransactionID": transaction or "N/A",
            "input_ResultCode": code,
            "input_ResultDesc": _text(code),
            "input_ThirdPartyConversationID": own_id,
        }
        headers = {"Content-Type": "application/json"}
        answer = self._outbound.post(self._config.vodacom_callback_url, json.dumps(news).encode(), headers)
        if answer.status != 200:
            log.warning("vodacom callback not taken: %s %s", answer.status, answer.problem)
        return answer.status == 200

    # -- answers

    def _unauthorised(self, operation: str, own_id: str | None, problem: str) -> Response:
        """Bad sessions are answered in other words than everything else: `output_error`, and no code."""
        self._ledger.note_request(WALLET, operation, own_id, f"401 {problem}")
        reply = jsonify({"output_error": problem})
        reply.status_code = 401
        return reply

    def _said(
        self,
        operation: str,
        own_id: str | None,
        code: str,
        extra: Mapping[str, str] | None = None,
        *,
        status: int | None = None,
    ) -> Response:
        self._ledger.note_request(WALLET, operation, own_id, code)
        words = {"output_ResponseCode": code, "output_ResponseDesc": _text(code)}
        if operation in ("c2b", "reversal"):
            words["output_ConversationID"] = secrets.token_hex(16)
            words["output_ThirdPartyConversationID"] = own_id or ""
        reply = jsonify({**words, **(extra or {})})
        reply.status_code = status if status is not None else CODES.get(code, (400, ""))[0]
        return reply


def _text(code: str) -> str:
    return CODES.get(code, (400, "Unknown"))[1]
