"""Orange Money RDC's SOAP merchant gateway on the wire: PIN prompts with the merchant's own text, status, callbacks,
money back, balances. It describes itself at `?wsdl`.

Answers at once and calls back at the address that came with the request. Its 0 means "in progress" in an answer and
"paid" in a callback.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, request
from sqlalchemy import Connection

from channels.wallets import soap
from mwolo.sandbox.callbacks import Callbacks
from mwolo.sandbox.config import SandboxConfig
from mwolo.sandbox.errands import Errands
from mwolo.sandbox.faults import WALLET_FAULTS, Faults
from mwolo.sandbox.ledger import FINAL, Ask, OperatorLedger
from mwolo.sandbox.movements import RefundAsk
from mwolo.sandbox.operators.orange_books import BRAND, WALLET, balance_of, payment_to_give_back
from mwolo.sandbox.operators.orange_rules import (
    CALLBACK_OPERATIONS,
    CALLBACKS,
    DONE,
    IN_PROGRESS,
    OPERATIONS,
    OVERLOADED,
    SERVICES,
    TEXTS,
    WRONG_ID,
    XML,
    answer_envelope,
    callback_envelope,
    ending_code,
    fault_envelope,
    payment_problem,
    wsdl,
)
from mwolo.sandbox.outbound import Outbound
from mwolo.sandbox.store import Now, Row, Store, major
from mwolo.sandbox.wire import cut_connection, pause, plan_for, slow_seconds

log = logging.getLogger(__name__)

# How often the real gateway repeats a callback is not published.
MOST_CALLBACKS = 5


class OrangeSoapOperator:
    """The gateway. Mounted at /orange-om; its service at /orange-om/apigatewayom/apigwomService."""

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
        self._callbacks = Callbacks(
            WALLET,
            store,
            ledger,
            errands,
            now,
            self._post_callback,
            retry_s=config.callback_retry_s,
            most=MOST_CALLBACKS,
            name="orange_soap",
        )
        faults.plays(WALLET, WALLET_FAULTS)
        ledger.on_settled(WALLET, self._stage_callback)
        self._operations = {
            "doS2M": self.pay,
            "doM2S": self.give_back,
            "doCheckTrans": self.status,
            "TcheckBal": self.balance,
        }

    def blueprint(self) -> Blueprint:
        pages = Blueprint("orange_soap", __name__, url_prefix="/orange-om")
        pages.add_url_rule("/apigatewayom/apigwomService", view_func=self.call, methods=["POST"])
        pages.add_url_rule("/apigatewayom/apigwomService", view_func=self.describe, methods=["GET"])
        pages.add_url_rule("/callback.wsdl", view_func=self.describe_callback)
        return pages

    def describe(self) -> Response:
        text = wsdl("apigwomService", SERVICES, OPERATIONS, request.base_url)
        return Response(text, content_type=XML)

    def describe_callback(self) -> Response:
        """What a merchant's own service must be: `?address=` is put into it."""
        address = request.args.get("address", "http://callbackurlws/wscallbacktestService")
        return Response(wsdl("wscallback", CALLBACKS, CALLBACK_OPERATIONS, address), content_type=XML)

    def call(self) -> Response:
        if request.headers.get("Authorization", "") != f"Bearer {self._config.orange_token}":
            return self._turned_away("no token, or a wrong one")
        try:
            said = soap.read(request.get_data())
        except soap.Unreadable as why:
            return _fault("Client", f"Couldn't create SOAP message: {why}")
        operation = self._operations.get(said.operation)
        if operation is None or said.namespace != SERVICES:
            return _fault("Client", f"Cannot find dispatch method for {{{said.namespace}}}{said.operation}")
        return operation(said.fields)

    # -- a customer pays

    def pay(self, fields: Mapping[str, str]) -> Response:
        own_id, phone = fields.get("transid", ""), _phone(fields)
        trouble = self._trouble("doS2M", fields, phone, "start")
        if trouble is not None:
            return trouble
        problem = self._party_problem(fields) or payment_problem(fields)
        if problem is None and self._seen(own_id):
            problem = WRONG_ID
        if problem is not None:
            return self._said("doS2M", fields, problem)
        entry, new = self._ledger.ask(self._ask(fields, phone))
        if not new:
            return self._said("doS2M", fields, WRONG_ID)
        with self._store.begin() as db:
            self._callbacks.stage_false(db, entry)
        return self._after_accepting(entry, fields, phone)

    def _trouble(self, operation: str, fields: Mapping[str, str], phone: str, kind: str) -> Response | None:
        """The faults of a gateway that takes nothing on. `kind`: what `params.operation` calls it."""
        own_id = fields.get("transid", "")
        if self._faults.take(WALLET, "expired_token", phone, operation=kind) is not None:
            return self._turned_away("the token has expired")
        if self._faults.take(WALLET, "throttled", phone, operation=kind) is not None:
            self._ledger.note_request(WALLET, operation, own_id, "429")
            return Response("Too many requests", 429, content_type="text/plain")
        if self._faults.take(WALLET, "overloaded", phone, operation=kind) is not None:
            return self._said(operation, fields, OVERLOADED)
        if self._faults.take(WALLET, "error_before_accept", phone, operation=kind) is not None:
            return self._stumble(operation, own_id)
        return None

    def _ask(self, fields: Mapping[str, str], phone: str) -> Ask:
        return Ask(
            wallet=WALLET,
            own_id=fields["transid"],
            phone=phone,
            brand=BRAND,
            minor=round(float(fields["amount"]) * 100),
            currency=fields["currency"],
            purpose=fields["transid"],
            prompt=fields.get("message_s2m", ""),
            plan=plan_for(self._faults, WALLET, phone, refusal="00084"),
            asked_as={
                "api": "soap",
                "reference": fields["transid"],
                "callbackurl": fields.get("callbackurl", ""),
                "mermsisdn": fields["mermsisdn"],
            },
        )

    def _after_accepting(self, entry: Row, fields: Mapping[str, str], phone: str) -> Response:
        """The request is on the books. What the caller hears of it is another matter."""
        if self._faults.take(WALLET, "error_after_accept", phone, operation="start") is not None:
            return self._stumble("doS2M", entry["own_id"])
        if self._faults.take(WALLET, "lost_answer", phone, operation="start") is not None:
            self._ledger.note_request(WALLET, "doS2M", entry["own_id"], "(line cut)")
            return cut_connection()
        self._dawdle(phone, "start")
        if entry["plan"].get("callback_first"):
            entry = self._ledger.wait_until_final(entry["id"], self._config.prompt_lifetime_s + 5)
            if entry["state"] in FINAL:
                self._callbacks.now(entry)
        refused = entry["plan"].get("refused")
        return self._said("doS2M", fields, str(refused) if refused else IN_PROGRESS, system_id(entry))

    # -- questions, and money back

    def status(self, fields: Mapping[str, str]) -> Response:
        own_id = fields.get("transid", "")
        problem = self._party_problem(fields, any_merchant=True)
        if problem is not None:
            return self._said("doCheckTrans", fields, problem)
        found = self._found(own_id)
        phone = None if found is None else found["phone"]
        self._dawdle(phone, "query")
        if self._faults.take(WALLET, "lost_answer", phone, operation="query") is not None:
            self._ledger.note_request(WALLET, "doCheckTrans", own_id, "(line cut)")
            return cut_connection()
        return self._said("doCheckTrans", fields, WRONG_ID if found is None else state_code(found))

    def give_back(self, fields: Mapping[str, str]) -> Response:
        """A merchant sends money to a customer. The box books it as the refund of a payment that it fits."""
        own_id, phone = fields.get("transid", ""), _phone(fields)
        trouble = self._trouble("doM2S", fields, phone, "refund")
        if trouble is not None:
            return trouble
        problem = self._party_problem(fields) or payment_problem(fields)
        if problem is None and self._seen(own_id):
            problem = WRONG_ID
        if problem is not None:
            return self._said("doM2S", fields, problem)
        minor, currency = round(float(fields["amount"]) * 100), fields["currency"]
        payment = payment_to_give_back(self._ledger.movements, phone, currency, minor)
        refund, _ = self._ledger.refund(RefundAsk(WALLET, own_id, payment, minor))
        if self._faults.take(WALLET, "error_after_accept", phone, operation="refund") is not None:
            return self._stumble("doM2S", own_id)
        if self._faults.take(WALLET, "lost_answer", phone, operation="refund") is not None:
            self._ledger.note_request(WALLET, "doM2S", own_id, "(line cut)")
            return cut_connection()
        self._dawdle(phone, "refund")
        return self._said("doM2S", fields, state_code(refund), refund["provider_txn_id"])

    def balance(self, fields: Mapping[str, str]) -> Response:
        currency = fields.get("currency", "").upper()
        merchant = self._merchants().get(currency)
        if fields.get("PartnId") != self._config.orange_partner_id:
            return self._said("TcheckBal", fields, "701")
        if not merchant or fields.get("subsmsisdn") != merchant:
            return self._said("TcheckBal", fields, "703")
        held = major(balance_of(self._ledger.movements, currency), currency)
        self._ledger.note_request(WALLET, "TcheckBal", None, DONE)
        told = {"partnId": fields["PartnId"], "resultCode": DONE, "resultDesc": "Success"}
        return _answer("TcheckBal", {"balance": held, **told, "transId": fields.get("transid", "")})

    def _merchants(self) -> dict[str, str]:
        return {"CDF": self._config.orange_merchant_cdf, "USD": self._config.orange_merchant_usd}

    def _party_problem(self, fields: Mapping[str, str], *, any_merchant: bool = False) -> str | None:
        if fields.get("PartnId") != self._config.orange_partner_id:
            return "701"
        merchants = self._merchants()
        fits = merchants.values() if any_merchant else [merchants.get(fields.get("currency", ""), "")]
        return None if fields.get("mermsisdn") and fields["mermsisdn"] in fits else "702"

    def _found(self, own_id: str) -> Row | None:
        """A payment or refund by the caller's id alone: the gateway knows no other key."""
        if not own_id:
            return None
        for row in (self._ledger.entry(WALLET, own_id), self._ledger.movements.refund_of(WALLET, own_id)):
            if row is not None and row["own_id"] == own_id:
                return row
        return None

    def _seen(self, own_id: str) -> bool:
        return self._found(own_id) is not None

    # -- callbacks

    def _stage_callback(self, db: Connection, entry: Row) -> None:
        if entry["asked_as"].get("api") == "soap":
            self._callbacks.stage(db, entry)

    def _post_callback(self, entry: Mapping[Any, Any]) -> bool:
        url = entry["asked_as"].get("callbackurl") or self._config.orange_callback_url
        if not url:
            return True
        code = "0" if entry["state"] == "paid" else ending_code(entry["reason"])
        news = callback_envelope({
            "subsmsisdn": "0" + entry["phone"][-9:],
            "PartnId": self._config.orange_partner_id,
            "mermsisdn": entry["asked_as"]["mermsisdn"],
            "transid": entry["own_id"],
            "currency": entry["currency"],
            "amount": major(entry["minor"], entry["currency"]),
            "ResultCode": code,
            "ResultDesc": "success" if code == "0" else TEXTS.get(code, "echec"),
        })  # fmt: skip
        answer = self._outbound.post(url, news.encode(), {"Content-Type": XML, "SOAPAction": '""'})
        taken = answer.status == 200 and _acknowledged(answer.body)
        if not taken:
            log.warning("orange callback not taken: %s %s", answer.status, answer.problem)
        return taken

    # -- answers

    def _said(self, operation: str, fields: Mapping[str, str], code: str, system: str | None = None) -> Response:
        own_id = fields.get("transid")
        self._ledger.note_request(WALLET, operation, own_id, code)
        told = {"resultCode": code, "resultDesc": TEXTS.get(code, "Echec")}
        # An id that is refused is not repeated; a status answer names neither partner nor system.
        if code != WRONG_ID and system is not None:
            told = {"partnId": fields.get("PartnId", ""), **told, "systemId": system}
        if code != WRONG_ID and own_id:
            told["transId"] = own_id
        return _answer(operation, told)

    def _turned_away(self, why: str) -> Response:
        self._ledger.note_request(WALLET, "login", None, f"401 {why}")
        return Response("Unauthorized", 401, {"WWW-Authenticate": "Bearer"}, content_type="text/plain")

    def _dawdle(self, phone: str | None, operation: str) -> None:
        slow = self._faults.take(WALLET, "slow", phone, operation=operation)
        if slow is not None:
            pause(self._store.bell, slow_seconds(slow))

    def _stumble(self, operation: str, own_id: str) -> Response:
        self._ledger.note_request(WALLET, operation, own_id, "500 Fault")
        return _fault("Server", "java.lang.NullPointerException")


def system_id(entry: Mapping[Any, Any]) -> str:
    """The gateway's own number for a request: twelve digits."""
    return f"{int(entry['provider_ref'], 16) % 10**12:012d}"


def state_code(row: Mapping[Any, Any]) -> str:
    """How a payment or refund stands, as doCheckTrans and doM2S tell it."""
    if row["state"] == "asked":
        return IN_PROGRESS
    return DONE if row["state"] == "paid" else ending_code(row["reason"])


def _phone(fields: Mapping[str, str]) -> str:
    return "+243" + fields.get("subsmsisdn", "").removeprefix("0")


def _acknowledged(body: bytes) -> bool:
    try:
        said = soap.read(body)
    except soap.Unreadable:
        return False
    return said.operation == "doCallbackResponse" and said.text("resultCode") == "0"


def _answer(operation: str, fields: Mapping[str, str]) -> Response:
    return Response(answer_envelope(operation, fields), content_type=XML)


def _fault(code: str, text: str) -> Response:
    return Response(fault_envelope(code, text), 500, content_type=XML)
