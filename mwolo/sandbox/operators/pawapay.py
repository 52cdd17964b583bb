"""pawaPay's Merchant API v2 on the wire: deposits, their status, signed callbacks, the toolkit calls."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from flask import Blueprint, Response, jsonify, request

from mwolo.sandbox.callbacks import Callbacks
from mwolo.sandbox.config import SandboxConfig
from mwolo.sandbox.errands import Errands
from mwolo.sandbox.faults import WALLET_FAULTS, Faults
from mwolo.sandbox.ledger import FINAL, Ask, OperatorLedger
from mwolo.sandbox.operators.keys import OperatorKeys
from mwolo.sandbox.operators.pawapay_money import PawapayMoney
from mwolo.sandbox.operators.pawapay_rules import (
    AT_INITIATION,
    CURRENCIES,
    ENDINGS,
    PROVIDERS,
    automatic_ending,
    deposit_problem,
    is_uuid4,
    limits,
    provider_of,
)
from mwolo.sandbox.operators.pawapay_signing import KEY_ID, signed_headers
from mwolo.sandbox.outbound import Outbound
from mwolo.sandbox.store import Now, Row, Store, iso, major
from mwolo.sandbox.wire import clock_of, cut_connection, pause, plan_for, slow_seconds

log = logging.getLogger(__name__)

WALLET = "pawapay"
# Callbacks are repeated until exactly 200; the real count is not published.
MOST_CALLBACKS = 15
# The token is one for ever, so it does not expire; signatures can be bad instead.
FAULTS = (*(fault for fault in WALLET_FAULTS if fault != "expired_token"), "bad_signature")


class PawapayOperator:
    """The aggregator's server. Mounted at /pawapay."""

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
        # Whoever makes callbacks up does not have pawaPay's key.
        self._forger = ec.generate_private_key(ec.SECP256R1())
        retry_s, most = config.callback_retry_s, MOST_CALLBACKS
        self._callbacks = Callbacks(
            WALLET, store, ledger, errands, now, self._post_callback, retry_s=retry_s, most=most
        )
        ledger.on_settled(WALLET, self._callbacks.stage)
        faults.plays(WALLET, FAULTS)
        self._money = PawapayMoney(config, store, ledger, faults, errands, now, self._signed_post)

    def blueprint(self) -> Blueprint:
        pages = Blueprint("pawapay", __name__, url_prefix="/pawapay/v2")
        pages.before_request(self._check_token)
        pages.add_url_rule("/deposits", view_func=self.deposit, methods=["POST"])
        pages.add_url_rule("/deposits/<deposit_id>", view_func=self.status)
        pages.add_url_rule("/deposits/resend-callback/<deposit_id>", view_func=self.resend, methods=["POST"])
        pages.add_url_rule("/active-conf", view_func=self.active_conf)
        pages.add_url_rule("/availability", view_func=self.availability, endpoint="availability")
        pages.add_url_rule("/predict-provider", view_func=self.predict, methods=["POST"])
        pages.add_url_rule("/public-key/http", view_func=self.public_keys)
        self._money.add_to(pages)
        return pages

    def _check_token(self) -> Response | None:
        # A report's address is its own key; the other call says nothing about anybody.
        if request.endpoint in ("pawapay.availability", "pawapay.report_file"):
            return None
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return _refusal(401, "NO_AUTHENTICATION", "The authorization header is missing.")
        if token.strip() != self._config.pawapay_token:
            return _refusal(401, "AUTHENTICATION_ERROR", "The API token is not valid.")
        return None

    # -- deposits

    def deposit(self) -> Response:
        asked = request.get_json(silent=True)
        if not isinstance(asked, dict):
            self._ledger.note_request(WALLET, "deposit", None, "INVALID_INPUT")
            return _refusal(400, "INVALID_INPUT", "The body is not JSON.")
        own_id = str(asked.get("depositId", ""))
        phone = _phone_in(asked)
        if self._faults.take(WALLET, "throttled", phone, operation="start") is not None:
            self._ledger.note_request(WALLET, "deposit", own_id, "429")
            return Response("Too Many Requests", 429, content_type="text/plain")
        if self._faults.take(WALLET, "error_before_accept", phone) is not None:
            return self._unknown_error(own_id)
        if self._faults.take(WALLET, "overloaded", phone) is not None:
            message = "The provider is currently experiencing an outage."
            return self._rejected(own_id, "PROVIDER_TEMPORARILY_UNAVAILABLE", message)
        problem = deposit_problem(asked)
        if problem is not None:
            return self._rejected(own_id, *problem)
        known = self._ledger.entry(WALLET, own_id)
        if known is not None:
            return self._answer(known, "DUPLICATE_IGNORED")
        plan = plan_for(self._faults, WALLET, phone, refusal="AMOUNT_OUT_OF_BOUNDS")
        if plan.get("refused") in AT_INITIATION:
            return self._rejected(own_id, plan["refused"], "Refused.")
        entry, new = self._ledger.ask(self._ask(asked, phone, plan))
        if not new:
            return self._answer(entry, "DUPLICATE_IGNORED")
        with self._store.begin() as db:
            self._callbacks.stage_false(db, entry)
        return self._after_accepting(entry, phone)

    def _ask(self, asked: Mapping[str, Any], phone: str, plan: dict[str, Any]) -> Ask:
        details = asked["payer"]["accountDetails"]
        automatic = automatic_ending(details["phoneNumber"])
        if automatic is not None:
            plan["auto"] = automatic
        return Ask(
            wallet=WALLET,
            own_id=asked["depositId"],
            phone=phone,
            brand=PROVIDERS[details["provider"]][0],
            minor=round(float(asked["amount"]) * 100),
            currency=asked["currency"],
            purpose=str(asked.get("customerMessage") or asked.get("clientReferenceId") or "facture"),
            plan=plan,
            asked_as={k: asked[k] for k in ("payer", "customerMessage", "clientReferenceId", "metadata") if k in asked},
        )

    def _after_accepting(self, entry: Row, phone: str) -> Response:
        """The deposit is on the books. What the caller hears of it is another matter."""
        if self._faults.take(WALLET, "error_after_accept", phone) is not None:
            return self._unknown_error(entry["own_id"])
        if self._faults.take(WALLET, "lost_answer", phone, operation="start") is not None:
            self._ledger.note_request(WALLET, "deposit", entry["own_id"], "(line cut)")
            return cut_connection()
        slow = self._faults.take(WALLET, "slow", phone, operation="start")
        if slow is not None:
            pause(self._store.bell, slow_seconds(slow))
        if entry["plan"].get("callback_first"):
            final = self._ledger.wait_until_final(entry["id"], self._config.prompt_lifetime_s + 5)
            if final["state"] in FINAL:
                self._callbacks.now(final)
        return self._answer(entry, "ACCEPTED")

    def _answer(self, entry: Row, status: str) -> Response:
        self._ledger.note_request(WALLET, "deposit", entry["own_id"], status)
        return jsonify(depositId=entry["own_id"], status=status, created=iso(entry["at"]))

    def _rejected(self, own_id: str, code: str, message: str) -> Response:
        self._ledger.note_request(WALLET, "deposit", own_id, code)
        reason = {"failureCode": code, "failureMessage": message}
        return jsonify(depositId=own_id, status="REJECTED", failureReason=reason)

    def _unknown_error(self, own_id: str) -> Response:
        self._ledger.note_request(WALLET, "deposit", own_id, "500 UNKNOWN_ERROR")
        return _refusal(500, "UNKNOWN_ERROR", "Unable to process the request.")

    def status(self, deposit_id: str) -> Response:
        entry = self._own(deposit_id)
        phone = None if entry is None else entry["phone"]
        slow = self._faults.take(WALLET, "slow", phone, operation="query")
        if slow is not None:
            pause(self._store.bell, slow_seconds(slow))
        if self._faults.take(WALLET, "lost_answer", phone, operation="query") is not None:
            self._ledger.note_request(WALLET, "query", deposit_id, "(line cut)")
            return cut_connection()
        if entry is None:
            self._ledger.note_request(WALLET, "query", deposit_id, "NOT_FOUND")
            return jsonify(status="NOT_FOUND")
        told = told_of(entry)
        self._ledger.note_request(WALLET, "query", deposit_id, told["status"])
        return jsonify(status="FOUND", data=told)

    def resend(self, deposit_id: str) -> Response:
        entry = self._own(deposit_id)
        if entry is None:
            answer, code = "NOT_FOUND", "NOT_FOUND"
        elif entry["state"] not in FINAL:
            answer, code = "REJECTED", "INVALID_STATE"
        else:
            with self._store.begin() as db:
                self._errands.add(db, "pawapay.callback", {"entry": entry["id"], "state": entry["state"]})
            answer, code = "ACCEPTED", ""
        self._ledger.note_request(WALLET, "resend-callback", deposit_id, code or answer)
        reply = {"depositId": deposit_id, "status": answer}
        if code:
            reply["failureReason"] = {"failureCode": code, "failureMessage": "No final deposit with this id."}  # type: ignore[assignment]
        return jsonify(reply)

    def _own(self, deposit_id: str) -> Row | None:
        """A deposit by the caller's id alone: pawaPay knows no other key."""
        entry = self._ledger.entry(WALLET, deposit_id) if is_uuid4(deposit_id) else None
        return entry if entry is not None and entry["own_id"] == deposit_id else None

    # -- callbacks

    def _post_callback(self, entry: Mapping[Any, Any]) -> bool:
        return self._signed_post(told_of(entry), entry["phone"], forged=bool(entry["plan"].get("false")))

    def _signed_post(self, told: Mapping[str, Any], phone: str | None, *, forged: bool = False) -> bool:
        """POST one callback. True when the product took it: exactly 200 counts."""
        url = self._config.pawapay_callback_url
        body = json.dumps(told, ensure_ascii=False).encode()
        shape = self._config.pawapay_signature
        key = self._forger if forged else self._keys.pawapay
        at = clock_of(self._faults, WALLET, self._now(), phone)
        headers = signed_headers(key, url, body, at=at, shape=shape)
        if self._faults.take(WALLET, "bad_signature", phone) is not None:
            other = signed_headers(key, url, body + b" ", at=at, shape=shape)
            headers["Signature"] = other["Signature"]
        answer = self._outbound.post(url, body, headers)
        if answer.status != 200:
            log.warning("pawapay callback not taken: %s %s", answer.status, answer.problem)
        return answer.status == 200

    # -- toolkit

    def active_conf(self) -> Response:
        return jsonify(
            companyName="Mwolo sandbox",
            signatureConfiguration={"signedRequestsOnly": False, "signedCallbacks": True},
            countries=[{"country": "COD", "prefix": "243", "providers": [_conf(name) for name in PROVIDERS]}],
        )

    def availability(self) -> Response:
        open_now = {"DEPOSIT": "OPERATIONAL", "PAYOUT": "OPERATIONAL", "REFUND": "OPERATIONAL"}
        listed = [{"provider": name, "operationTypes": open_now} for name in PROVIDERS]
        return jsonify([{"country": "COD", "providers": listed}])

    def predict(self) -> Response:
        asked = request.get_json(silent=True)
        typed = str(asked.get("phoneNumber", "")) if isinstance(asked, dict) else ""
        number = re.sub(r"\D", "", typed).removeprefix("00")
        if len(number) in (9, 10):
            number = "243" + number[-9:]
        provider = provider_of(number)
        if provider is None:
            return _refusal(400, "INVALID_PHONE_NUMBER", "The phone number format is invalid.")
        return jsonify(country="COD", provider=provider, phoneNumber=number)

    def public_keys(self) -> Response:
        return jsonify([{"id": KEY_ID, "key": self._keys.pawapay_public()}])


def told_of(entry: Mapping[Any, Any]) -> dict[str, Any]:
    """A deposit as pawaPay tells it, in a status answer and in a callback alike."""
    status = {"asked": "PROCESSING", "paid": "COMPLETED"}.get(entry["state"], "FAILED")
    told: dict[str, Any] = {
        "depositId": entry["own_id"],
        "status": status,
        "amount": major(entry["minor"], entry["currency"]),
        "currency": entry["currency"],
        "country": "COD",
        **entry["asked_as"],
        "created": iso(entry["at"]),
    }
    if isinstance(told.get("metadata"), list):
        told["metadata"] = {name: value for one in told["metadata"] for name, value in one.items() if name != "isPII"}
    if entry["provider_txn_id"]:
        told["providerTransactionId"] = entry["provider_txn_id"]
    if status == "FAILED":
        code = ENDINGS.get(entry["reason"] or "", entry["reason"] or "UNSPECIFIED_FAILURE")
        told["failureReason"] = {"failureCode": code, "failureMessage": code.replace("_", " ").capitalize() + "."}
    return told


def _phone_in(asked: Mapping[str, Any]) -> str:
    payer = asked.get("payer")
    details = payer.get("accountDetails") if isinstance(payer, dict) else None
    return f"+{details.get('phoneNumber', '')}" if isinstance(details, dict) else ""


def _conf(provider: str) -> dict[str, Any]:
    currencies = []
    for currency, (sign, decimals) in CURRENCIES.items():
        lowest, highest = limits(provider, currency)
        deposit = {
            "minAmount": lowest,
            "maxAmount": highest,
            "decimalsInAmount": "TWO_PLACES" if decimals else "NONE",
            "pinPrompt": "AUTOMATIC",
            "pinPromptRevivable": False,
            "authType": "PROVIDER_AUTH",
            "status": "OPERATIONAL",
        }
        refund = {name: deposit[name] for name in ("minAmount", "maxAmount", "decimalsInAmount", "status")}
        operations = {"DEPOSIT": deposit, "REFUND": refund}
        currencies.append({"currency": currency, "displayName": sign, "operationTypes": operations})
    return {"provider": provider, "displayName": PROVIDERS[provider][1], "currencies": currencies}


def _refusal(status: int, code: str, message: str) -> Response:
    reply = jsonify(failureReason={"failureCode": code, "failureMessage": message})
    reply.status_code = status
    return reply
