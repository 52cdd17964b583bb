"""Airtel Money's Open API on the wire: tokens, collection v1 and v2, enquiry, refund, keys, callbacks with a hash."""

from __future__ import annotations

import hmac
import logging
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from hashlib import sha256
from typing import Any

from flask import Blueprint, Response, jsonify, request
from sqlalchemy import Connection

from mwolo.sandbox import phones as wallets
from mwolo.sandbox.callbacks import Callbacks
from mwolo.sandbox.config import SandboxConfig
from mwolo.sandbox.errands import Errands
from mwolo.sandbox.faults import WALLET_FAULTS, Faults
from mwolo.sandbox.ledger import FINAL, Ask, OperatorLedger
from mwolo.sandbox.movements import RefundAsk
from mwolo.sandbox.operators.airtel_rules import (
    TEXTS,
    PaymentAsk,
    callback_body,
    header_fault,
    read_json,
    read_payment,
    signature_fits,
)
from mwolo.sandbox.operators.keys import OperatorKeys
from mwolo.sandbox.outbound import Outbound
from mwolo.sandbox.store import Now, Row, Store, major
from mwolo.sandbox.wire import clock_of, cut_connection, pause, plan_for, slow_seconds

log = logging.getLogger(__name__)

WALLET = "airtel"
BRAND = "airtel"
# The retry policy of the real callbacks is not published; the box gives up after this many.
MOST_CALLBACKS = 6
KEY_LIFETIME_S = 7 * 86400.0

_STATUSES: Mapping[str, str] = {"asked": "TIP", "paid": "TS", "expired": "TE"}
# Of the one official table these are the numbers, of the other not: nobody should read them.
_NUMBERS: Mapping[str, str] = {"TS": "DP00800001001", "TIP": "DP00800001006", "TA": "DP00800001000"}
_AT_ONCE = re.compile(r"(ESB|ROUTER)\d+")


class AirtelOperator:
    """The operator's server. Mounted at /airtel."""

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
        self._outbound = outbound
        self._keys = keys
        self._now = now
        # Tokens that died before their time. A restart forgets them: they live minutes.
        self._dead: set[str] = set()
        retry_s, most = config.callback_retry_s, MOST_CALLBACKS
        self._callbacks = Callbacks(
            WALLET, store, ledger, errands, now, self._post_callback, retry_s=retry_s, most=most
        )
        ledger.on_settled(WALLET, self._stage)
        faults.plays(WALLET, WALLET_FAULTS)

    def blueprint(self) -> Blueprint:
        pages = Blueprint("airtel", __name__, url_prefix="/airtel")
        pages.after_request(self._date)
        pages.add_url_rule("/auth/oauth2/token", view_func=self.token, methods=["POST"])
        for version in ("v1", "v2"):
            path = f"/merchant/{version}/payments/"
            pages.add_url_rule(path, f"pay_{version}", self.pay, methods=["POST"], strict_slashes=False)
        pages.add_url_rule("/standard/v1/payments/<own_id>", view_func=self.enquiry)
        pages.add_url_rule("/standard/v1/payments/refund", view_func=self.refund, methods=["POST"])
        pages.add_url_rule("/standard/v1/users/balance", view_func=self.balance)
        pages.add_url_rule("/standard/v1/users/<msisdn>", view_func=self.user)
        pages.add_url_rule("/v1/rsa/encryption-keys", view_func=self.encryption_key)
        return pages

    def _date(self, reply: Response) -> Response:
        """Every answer carries the operator's clock."""
        reply.headers["Date"] = formatdate(clock_of(self._faults, WALLET, self._now()), usegmt=True)
        return reply

    # -- tokens

    def token(self) -> Response:
        asked, config = read_json(request.get_data()), self._config
        known = (asked.get("client_id"), asked.get("client_secret"), asked.get("grant_type"))
        if known != (config.airtel_client_id, config.airtel_client_secret, "client_credentials"):
            self._ledger.note_request(WALLET, "token", None, "401 invalid_client")
            return _json({"error": "invalid_client", "error_description": "Invalid client authentication"}, 401)
        self._ledger.note_request(WALLET, "token", None, "token")
        ends = f"{self._now() + config.airtel_token_s:.3f}"
        made = f"{ends}-{secrets.token_hex(8)}"
        lives = f"{config.airtel_token_s:.0f}"
        return _json({"access_token": f"{made}-{self._seal(made)}", "expires_in": lives, "token_type": "bearer"})

    def _seal(self, text: str) -> str:
        return hmac.new(self._config.airtel_client_secret.encode(), text.encode(), sha256).hexdigest()

    def _unauthorised(self, operation: str, own_id: str | None, phone: str | None = None) -> Response | None:
        """The answer to a call whose token does not hold, or None."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        made, _, seal = token.rpartition("-")
        lives = bool(made) and hmac.compare_digest(seal.encode(), self._seal(made).encode())
        lives = lives and token not in self._dead and self._now() < float(made.partition("-")[0])
        if lives and self._faults.take(WALLET, "expired_token", phone, operation=operation) is not None:
            self._dead.add(token)
            lives = False
        if lives:
            return None
        self._ledger.note_request(WALLET, operation, own_id, "401 invalid_token")
        return _json({"error": "invalid_token", "error_description": "The access token is invalid or has expired"}, 401)

    # -- a customer pays

    def pay(self) -> Response:
        body = request.get_data()
        asked = read_json(body)
        payment = read_payment(asked, request.headers.get("X-Currency", ""))
        own_id, phone = (payment.own_id, f"+243{payment.msisdn}") if isinstance(payment, PaymentAsk) else (None, None)
        refusal = self._unauthorised("start", own_id, phone) or self._trouble(own_id, phone)
        if refusal is not None:
            return refusal
        fault = _header_fault()
        if fault is not None:
            return self._said("start", own_id, fault, status=400)
        if not self._signed_right(body):
            return self._said("start", own_id, "DP00800001026", status=403)
        if not isinstance(payment, PaymentAsk):
            return self._said("start", None, payment, status=400)
        if self._ledger.entry(WALLET, payment.own_id) is not None:
            return self._said("start", own_id, "ESB000041", status=400)
        entry, new = self._ledger.ask(self._ask(payment))
        if not new:
            return self._said("start", own_id, "ESB000041", status=400)
        with self._store.begin() as db:
            self._callbacks.stage_false(db, entry)
        return self._after_accepting(entry)

    def _trouble(self, own_id: str | None, phone: str | None) -> Response | None:
        """What keeps the gateway from taking anything on."""
        if self._faults.take(WALLET, "throttled", phone, operation="start") is not None:
            self._ledger.note_request(WALLET, "start", own_id, "429")
            return Response("Too Many Requests", 429, {"Retry-After": "10"}, content_type="text/plain")
        if self._faults.take(WALLET, "overloaded", phone) is not None:
            self._ledger.note_request(WALLET, "start", own_id, "503")
            return Response("<h1>Service Unavailable</h1>", 503, content_type="text/html")
        if self._faults.take(WALLET, "error_before_accept", phone) is not None:
            return self._said("start", own_id, "ESB000001", status=500)
        return None

    def _signed_right(self, body: bytes) -> bool:
        x_key, x_signature = request.headers.get("x-key"), request.headers.get("x-signature")
        if x_key is None and x_signature is None:
            return self._config.airtel_signing == "optional"
        return signature_fits(self._keys.airtel, body, x_key or "", x_signature or "")

    def _ask(self, payment: PaymentAsk) -> Ask:
        phone = f"+243{payment.msisdn}"
        return Ask(
            wallet=WALLET,
            own_id=payment.own_id,
            phone=phone,
            brand=BRAND,
            minor=payment.minor,
            currency=payment.currency,
            purpose=payment.reference,
            plan=plan_for(self._faults, WALLET, phone, refusal="ESB000008"),
            asked_as={"reference": payment.reference},
        )

    def _after_accepting(self, entry: Row) -> Response:
        """The request is on the books. What the caller hears of it is another matter."""
        own_id, phone = entry["own_id"], entry["phone"]
        if self._faults.take(WALLET, "error_after_accept", phone) is not None:
            return self._said("start", own_id, "ESB000004", status=500)
        if self._faults.take(WALLET, "lost_answer", phone, operation="start") is not None:
            self._ledger.note_request(WALLET, "start", own_id, "(line cut)")
            return cut_connection()
        slow = self._faults.take(WALLET, "slow", phone, operation="start")
        if slow is not None:
            pause(self._store.bell, slow_seconds(slow))
        if entry["plan"].get("callback_first"):
            entry = self._ledger.wait_until_final(entry["id"], self._config.prompt_lifetime_s + 5)
            if entry["state"] in FINAL:
                self._callbacks.now(entry)
        if _refused_at_once(entry):
            return self._said("start", own_id, entry["reason"], status=400)
        if entry["reason"] == "payer_unknown":
            return self._said("start", own_id, "DP00800001005", status=400)
        taken = {"transaction": {"id": own_id, "status": "SUCCESS"}}
        return self._said("start", own_id, "ESB000010", taken, number="DP00800001006")

    # -- what became of it

    def enquiry(self, own_id: str) -> Response:
        entry = self._ledger.entry(WALLET, own_id)
        if entry is not None and entry["own_id"] != own_id:
            entry = None
        phone = None if entry is None else entry["phone"]
        refusal = self._unauthorised("query", own_id, phone)
        if refusal is not None:
            return refusal
        slow = self._faults.take(WALLET, "slow", phone, operation="query")
        if slow is not None:
            pause(self._store.bell, slow_seconds(slow))
        if self._faults.take(WALLET, "lost_answer", phone, operation="query") is not None:
            self._ledger.note_request(WALLET, "query", own_id, "(line cut)")
            return cut_connection()
        fault = _header_fault()
        if fault is not None:
            return self._said("query", own_id, fault, status=400)
        if entry is None or _refused_at_once(entry):
            return self._said("query", own_id, "ESB000045")
        told = _transaction(entry, "status")
        state, found = told["status"], {"transaction": told}
        return self._said("query", own_id, "ESB000010", found, number=_number(state), success=state != "TF")

    # -- the whole of it back

    def refund(self) -> Response:
        wanted = read_json(request.get_data()).get("transaction")
        number = str(wanted.get("airtel_money_id", "")) if isinstance(wanted, dict) else ""
        entry = self._ledger.entry(WALLET, number) if number else None
        own_id, phone = (None, None) if entry is None else (entry["own_id"], entry["phone"])
        refusal = self._unauthorised("refund", own_id, phone)
        if refusal is not None:
            return refusal
        fault = _header_fault()
        if fault is not None:
            return self._said("refund", own_id, fault, status=400)
        if not self._signed_right(request.get_data()):
            return self._said("refund", own_id, "DP00800001026", status=403)
        if entry is None or entry["provider_txn_id"] != number:
            return self._said("refund", None, "ESB000045", status=400)
        refused = self._faults.take(WALLET, "refused", phone, operation="refund")
        plan = {} if refused is None else {"refused": str(refused.get("code", "ESB000011"))}
        back, _ = self._ledger.refund(RefundAsk(WALLET, secrets.token_hex(10), number, plan=plan))
        if self._faults.take(WALLET, "lost_answer", phone, operation="refund") is not None:
            self._ledger.note_request(WALLET, "refund", own_id, "(line cut)")
            return cut_connection()
        if back["state"] == "failed":
            code = back["reason"] if _AT_ONCE.fullmatch(back["reason"] or "") else "ESB000011"
            return self._said("refund", own_id, code, status=400)
        taken = {"transaction": {"airtel_money_id": back["provider_txn_id"], "status": "SUCCESS"}}
        # The official sample of a refund that worked says `success: false`.
        return self._said("refund", own_id, "ESB000010", taken, number="DP00800001006", success=False)

    # -- questions about nobody's payment

    def balance(self) -> Response:
        currency = request.headers.get("X-Currency", "")
        refusal = self._unauthorised("balance", None)
        if refusal is not None:
            return refusal
        fault = _header_fault()
        if fault is not None:
            return self._said("balance", None, fault, status=400)
        held = sum(
            row["minor"] if row["kind"] in ("payment", "walk_in") else -row["minor"]
            for row in self._ledger.movements.of(WALLET)
            if row["state"] == "paid" and row["currency"] == currency
        )
        shown = {"balance": f"{held / 100:,.2f}", "currency": currency, "account_status": "Active"}
        return self._said("balance", None, "ESB000010", shown, number="DP02100000001")

    def user(self, msisdn: str) -> Response:
        refusal = self._unauthorised("user", None)
        if refusal is not None:
            return refusal
        phone = f"+243{msisdn.removeprefix('243')}"
        with self._store.read() as db:
            owner = wallets.find(db, phone)
        if owner is None or owner["brand"] != BRAND:
            return self._said("user", None, "ESB000011", number="DP02200000000", status=400)
        first, _, last = owner["name"].partition(" ")
        shown = {
            "first_name": first,
            "last_name": last,
            "msisdn": phone[4:],
            "grade": "SUBS",
            "is_barred": False,
            "is_pin_set": True,
            "registration": {"status": "SUBS"},
        }
        return self._said("user", None, "ESB000010", shown, number="DP02200000001")

    def encryption_key(self) -> Response:
        refusal = self._unauthorised("keys", None)
        if refusal is not None:
            return refusal
        until = datetime.fromtimestamp(clock_of(self._faults, WALLET, self._now()) + KEY_LIFETIME_S, UTC)
        data = {"key_id": 100, "key": self._keys.airtel_public(), "valid_upto": f"{until:%d-%m-%Y %H:%M:%S}"}
        return self._said("keys", None, "ESB000010", data, number="DP02010001001")

    # -- the callback

    def _stage(self, db: Connection, entry: Row) -> None:
        if not _refused_at_once(entry):
            self._callbacks.stage(db, entry)

    def _post_callback(self, entry: Mapping[Any, Any]) -> bool:
        told = _transaction(entry, "status_code")
        # Callbacks know two words: what expired has failed.
        told["status_code"] = "TS" if entry["state"] == "paid" else "TF"
        config = self._config
        # Whoever makes callbacks up does not have the key.
        key = secrets.token_hex() if entry["plan"].get("false") else config.airtel_callback_key
        body = callback_body(told, config.airtel_callback_hash, key)
        answer = self._outbound.post(config.airtel_callback_url, body, {"Content-Type": "application/json"})
        if answer.status != 200:
            log.warning("airtel callback not taken: %s %s", answer.status, answer.problem)
        return answer.status == 200

    # -- answers

    def _said(
        self,
        operation: str,
        own_id: str | None,
        code: str,
        data: Mapping[str, Any] | None = None,
        *,
        number: str = "",
        status: int = 200,
        success: bool | None = None,
    ) -> Response:
        self._ledger.note_request(WALLET, operation, own_id, code)
        text = TEXTS.get(code, "Refused.")
        envelope: dict[str, Any] = {"code": str(status), "message": text}
        if code.startswith("ESB"):
            envelope["result_code"] = code
        envelope["response_code"] = number if code.startswith("ESB") else code
        envelope["success"] = code == "ESB000010" if success is None else success
        return _json({**({} if data is None else {"data": data}), "status": envelope}, status)


def _header_fault() -> str | None:
    return header_fault(request.headers.get("X-Country"), request.headers.get("X-Currency"))


def _transaction(entry: Mapping[Any, Any], state_name: str) -> dict[str, str]:
    state = _STATUSES.get(entry["state"], "TF")
    never = entry["plan"].get("never_final")
    if state == "TIP" and never:
        state = str(never.get("status", "TIP"))
    told = {"id": entry["own_id"], "message": _message(entry), state_name: state}
    if entry["provider_txn_id"]:
        told["airtel_money_id"] = entry["provider_txn_id"]
    return told


def _message(entry: Mapping[Any, Any]) -> str:
    if entry["state"] == "paid":
        paid = f"{entry['currency']} {major(entry['minor'], entry['currency'])}"
        return f"Paid {paid} to MWOLO, Trans ID {entry['provider_txn_id']}."
    return {"asked": "In progress", "expired": "Transaction expired"}.get(entry["state"], "Transaction failed")


def _refused_at_once(entry: Mapping[Any, Any]) -> bool:
    """Refused by the gateway itself: no transaction came of it, and no callback."""
    return entry["state"] == "failed" and _AT_ONCE.fullmatch(entry["reason"] or "") is not None


def _number(state: str) -> str:
    return _NUMBERS.get(state, "DP00800001005")


def _json(said: Mapping[str, Any], status: int = 200) -> Response:
    reply = jsonify(said)
    reply.status_code = status
    return reply
