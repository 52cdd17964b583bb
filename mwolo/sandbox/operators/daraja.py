"""Safaricom's Daraja on the wire: tokens, STK push, its query and callback, the bill number.

Mounted at /daraja, and at the root of the port for clients that join Daraja's paths to the host alone.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, jsonify, request
from sqlalchemy import Connection, delete, insert, select

from mwolo.sandbox.callbacks import Callbacks
from mwolo.sandbox.config import SandboxConfig
from mwolo.sandbox.errands import Errands
from mwolo.sandbox.faults import Faults
from mwolo.sandbox.ledger import FINAL, Ask, OperatorLedger
from mwolo.sandbox.operators import daraja_rules as rules
from mwolo.sandbox.operators.daraja_bill import JSON, WALLET, DarajaBill
from mwolo.sandbox.outbound import Outbound
from mwolo.sandbox.store import Now, Row, Store, daraja_tokens
from mwolo.sandbox.wire import clock_of, cut_connection, pause, plan_for, slow_seconds

log = logging.getLogger(__name__)

BRAND, CURRENCY = "mpesa", "KES"
TOKEN_S = 3599
# Nothing is published about repeats of the real callbacks.
MOST_CALLBACKS = 3
PLAYS = (
    "slow", "lost_answer", "error_after_accept", "error_before_accept", "lost_callback", "duplicate_callback",
    "reordered_callbacks", "callback_before_answer", "late_success", "refused", "no_funds", "wrong_amount",
    "unknown_reference", "forged_callback", "expired_token", "throttled", "overloaded", "clock_skew", "never_final",
    "reversed",
)  # fmt: skip


class DarajaOperator:
    """The operator's server. A new token ends the one before, as the portal says."""

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
        self._outbound = outbound
        self._now = now
        self._bill = DarajaBill(config, store, ledger, faults, errands, outbound, now)
        retry_s = config.callback_retry_s
        self._callbacks = Callbacks(
            WALLET, store, ledger, errands, now, self._post_callback, retry_s=retry_s, most=MOST_CALLBACKS
        )
        ledger.on_settled(WALLET, self._settled)
        faults.plays(WALLET, PLAYS)

    def blueprint(self, name: str, prefix: str) -> Blueprint:
        pages = Blueprint(name, __name__, url_prefix=prefix or None)
        pages.add_url_rule("/oauth/v1/generate", view_func=self.token)
        calls: Mapping[str, Callable[..., Response]] = {
            "/mpesa/stkpush/v1/processrequest": self.push,
            "/mpesa/stkpushquery/v1/query": self.query,
            "/mpesa/c2b/<any(v1, v2):version>/registerurl": self.register,
            "/mpesa/c2b/<any(v1, v2):version>/simulate": self.simulate,
        }
        for path, view in calls.items():
            pages.add_url_rule(path, view_func=view, methods=["GET", "POST"])
        return pages

    # -- tokens

    def token(self) -> Response:
        scheme, _, told = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return self._error("token", None, "400.008.01")
        if request.args.get("grant_type") != "client_credentials":
            return self._error("token", None, "400.008.02")
        expected = f"{self._config.daraja_consumer_key}:{self._config.daraja_consumer_secret}"
        if _decoded(told) != expected:
            # Wrong keys are answered by nothing at all.
            self._ledger.note_request(WALLET, "token", None, "400")
            return Response("", 400)
        fresh = secrets.token_urlsafe(21)
        with self._store.begin() as db:
            db.execute(delete(daraja_tokens))
            db.execute(insert(daraja_tokens).values(token=fresh, expires=self._now() + TOKEN_S))
        # A number in the documents, text in the wild.
        return self._said("token", None, "0", {"access_token": fresh, "expires_in": str(TOKEN_S)})

    def _refused(self, operation: str, phone: str | None) -> Response | None:
        """The answer to a call that cannot even be looked at."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if request.method != "POST" or scheme.lower() != "bearer":
            return self._error(operation, None, "404.001.04")
        if self._faults.take(WALLET, "expired_token", phone, operation=operation) is not None:
            with self._store.begin() as db:
                db.execute(delete(daraja_tokens).where(daraja_tokens.c.token == token.strip()))
        alive = (daraja_tokens.c.token == token.strip()) & (daraja_tokens.c.expires > self._now())
        with self._store.read() as db:
            known = db.execute(select(daraja_tokens).where(alive)).first() is not None
        if not known:
            return self._error(operation, None, "404.001.03")
        if self._faults.take(WALLET, "throttled", phone, operation=operation) is not None:
            self._ledger.note_request(WALLET, operation, None, "429")
            return _json(rules.SPIKE_ARREST, 429)
        return None

    # -- STK push

    def push(self) -> Response:
        fields = _fields()
        phone = f"+{fields.get('PhoneNumber', '')}"
        refused = self._refused("start", phone)
        if refused is not None:
            return refused
        if self._faults.take(WALLET, "error_before_accept", phone) is not None:
            return self._error("start", None, "500.003.1001")
        if self._faults.take(WALLET, "overloaded", phone) is not None:
            return self._error("start", None, "500.003.02")
        problem = self._signature_problem("start", fields)
        if problem is not None:
            return problem
        wrong = rules.push_fault(fields)
        if wrong is not None:
            return self._error("start", None, "400.002.02", f"Bad Request - Invalid {wrong}")
        entry, _ = self._ledger.ask(self._ask(fields, phone))
        if entry["reason"] == "busy":
            return self._error("start", entry["own_id"], rules.CORE, rules.LOCKED)
        with self._store.begin() as db:
            self._callbacks.stage_false(db, entry)
        return self._after_accepting(entry, phone)

    def _signature_problem(self, operation: str, fields: Mapping[str, Any]) -> Response | None:
        if str(fields.get("BusinessShortCode", "")) != self._config.daraja_short_code:
            return self._error(operation, None, rules.CORE, rules.NO_MERCHANT)
        if not rules.signed(fields, self._config.daraja_passkey):
            return self._error(operation, None, rules.CORE, rules.WRONG_CREDENTIALS)
        return None

    def _ask(self, fields: Mapping[str, Any], phone: str) -> Ask:
        """Daraja has no id of the caller's: the entry is known by the CheckoutRequestID made here."""
        made = f"{rules.moment(self._now())}{secrets.randbelow(10**12):012d}"
        reference = str(fields["AccountReference"])
        return Ask(
            wallet=WALLET,
            own_id=f"ws_CO_{made}",
            phone=phone,
            brand=BRAND,
            minor=int(fields["Amount"]) * 100,
            currency=CURRENCY,
            purpose=reference,
            plan=plan_for(self._faults, WALLET, phone, refusal="4"),
            asked_as={
                "reference": reference,
                "callback_url": str(fields["CallBackURL"]),
                "merchant": f"{secrets.randbelow(90000) + 10000}-{secrets.token_hex(4)}-1",
            },
        )

    def _after_accepting(self, entry: Row, phone: str) -> Response:
        """The request is on the books. What the caller hears of it is another matter."""
        checkout = entry["own_id"]
        if self._faults.take(WALLET, "error_after_accept", phone) is not None:
            return self._error("start", checkout, "500.003.1001")
        cut = self._faults.take(WALLET, "lost_answer", phone, operation="start")
        slow = self._faults.take(WALLET, "slow", phone, operation="start")
        if entry["plan"].get("callback_first"):
            entry = self._ledger.wait_until_final(entry["id"], self._config.prompt_lifetime_s + 5.0)
            if entry["state"] in FINAL:
                self._callbacks.now(entry)
        if slow is not None:
            pause(self._store.bell, slow_seconds(slow))
        if cut is not None:
            self._ledger.note_request(WALLET, "start", checkout, "(line cut)")
            return cut_connection()
        taken = "Success. Request accepted for processing"
        words = {"ResponseDescription": taken, "CustomerMessage": taken}
        return self._said("start", checkout, "0", {**_ids(entry), "ResponseCode": "0", **words})

    # -- its query

    def query(self) -> Response:
        fields = _fields()
        checkout = str(fields.get("CheckoutRequestID") or "")
        entry = self._ledger.entry(WALLET, checkout)
        phone = None if entry is None else entry["phone"]
        problem = self._refused("query", phone) or self._signature_problem("query", fields)
        if problem is not None:
            return problem
        slow = self._faults.take(WALLET, "slow", phone, operation="query")
        if slow is not None:
            pause(self._store.bell, slow_seconds(slow))
        if self._faults.take(WALLET, "lost_answer", phone, operation="query") is not None:
            self._ledger.note_request(WALLET, "query", checkout, "(line cut)")
            return cut_connection()
        if entry is None:
            return self._error("query", checkout, "400.002.02", "Bad Request - Invalid CheckoutRequestID")
        if entry["state"] == "asked" and "never_final" not in entry["plan"]:
            return self._error("query", checkout, rules.CORE, rules.IN_PROCESS)
        # The other way in which Daraja says "not yet".
        result = "4999" if entry["state"] == "asked" else rules.result_of(entry)
        words = {
            "ResponseCode": "0",
            "ResponseDescription": "The service request has been accepted successfully",
            **_ids(entry),
            "ResultCode": result,
            "ResultDesc": rules.text_of(result),
        }
        return self._said("query", checkout, result, words)

    # -- its callback

    def _settled(self, db: Connection, entry: Row) -> None:
        if entry["state"] == "paid":
            self._bill.paid_by_push(db, entry)
        # A phone that was busy was refused in the answer: no callback follows.
        if entry["reason"] != "busy":
            self._callbacks.stage(db, entry)

    def _post_callback(self, entry: Mapping[str, Any]) -> bool:
        result = rules.result_of(entry)
        said: dict[str, Any] = {
            **_ids(entry),
            # A number here, text in the answer to a query.
            "ResultCode": int(result) if result.isdigit() else result,
            "ResultDesc": rules.text_of(result),
        }
        if result == "0":
            said["CallbackMetadata"] = {"Item": self._items(entry)}
        url = str(entry["asked_as"]["callback_url"])
        if entry["plan"].get("false") == "invented":
            # About nobody: neither Daraja's id nor the one in the address is anybody's.
            url = f"{url.rpartition('/')[0]}/{entry['own_id']}"
        answer = self._outbound.post(url, json.dumps({"Body": {"stkCallback": said}}).encode(), JSON)
        if answer.status != 200:
            log.warning("daraja callback not taken: %s %s", answer.status, answer.problem)
        return answer.status == 200

    def _items(self, entry: Mapping[str, Any]) -> list[dict[str, Any]]:
        at = clock_of(self._faults, WALLET, entry["settled_at"], entry["phone"])
        return [
            {"Name": "Amount", "Value": entry["minor"] / 100},
            {"Name": "MpesaReceiptNumber", "Value": entry["provider_txn_id"]},
            {"Name": "Balance"},
            {"Name": "TransactionDate", "Value": int(rules.moment(at))},
            {"Name": "PhoneNumber", "Value": int(entry["phone"].removeprefix("+"))},
        ]

    # -- the bill number

    def register(self, version: str) -> Response:
        refused = self._refused("register", None)
        if refused is not None:
            return refused
        fields = _fields()
        wrong = rules.register_fault(fields, self._config.daraja_short_code)
        if wrong is not None:
            return self._error("register", None, "400.002.02", f"Bad Request - Invalid {wrong}")
        if self._faults.take(WALLET, "refused", operation="register") is not None:
            # What production says to everybody who comes a second time.
            return self._error("register", None, "500.003.1001", "Urls are already registered")
        self._bill.register(version, fields)
        return self._taken("register", "success")

    def simulate(self, version: str) -> Response:
        refused = self._refused("simulate", None)
        if refused is not None:
            return refused
        fields = _fields()
        wrong = rules.simulate_fault(fields, self._config.daraja_short_code)
        if wrong is not None:
            return self._error("simulate", None, "400.002.02", f"Bad Request - Invalid {wrong}")
        self._bill.simulate(fields)
        return self._taken("simulate", "Accept the service request successfully.")

    # -- answers

    def _taken(self, operation: str, words: str) -> Response:
        # The key is misspelt by the API.
        ids = {"OriginatorCoversationID": f"{secrets.randbelow(9000) + 1000}-{secrets.token_hex(4)}-1"}
        return self._said(operation, None, "0", {**ids, "ResponseCode": "0", "ResponseDescription": words})

    def _said(self, operation: str, checkout: str | None, note: str, words: Mapping[str, str]) -> Response:
        self._ledger.note_request(WALLET, operation, checkout, note)
        return _json(words, 200)

    def _error(self, operation: str, checkout: str | None, code: str, message: str | None = None) -> Response:
        """An error in Daraja's shape; the code begins with the status it comes on."""
        told = message or rules.ERRORS[code]
        self._ledger.note_request(WALLET, operation, checkout, f"{code} {told}")
        words = {"requestId": f"{secrets.token_hex(2)}-{secrets.token_hex(2)}", "errorCode": code, "errorMessage": told}
        return _json(words, int(code[:3]))


def _ids(entry: Row | Mapping[str, Any]) -> dict[str, str]:
    return {"MerchantRequestID": entry["asked_as"]["merchant"], "CheckoutRequestID": entry["own_id"]}


def _fields() -> Mapping[str, Any]:
    said = request.get_json(silent=True)
    return said if isinstance(said, dict) else {}


def _decoded(text: str) -> str | None:
    try:
        return base64.b64decode(text.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def _json(words: Mapping[str, Any], status: int) -> Response:
    reply = jsonify(words)
    reply.status_code = status
    return reply
