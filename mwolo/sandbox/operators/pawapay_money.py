"""pawaPay in the box, the way back: refunds of deposits, balances, and reports as CSV."""

from __future__ import annotations

import csv
import io
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from flask import Blueprint, Response, jsonify, request
from sqlalchemy import Connection

from mwolo.sandbox.config import SandboxConfig
from mwolo.sandbox.errands import Errands
from mwolo.sandbox.faults import Faults
from mwolo.sandbox.ledger import OperatorLedger
from mwolo.sandbox.movements import RefundAsk
from mwolo.sandbox.operators.pawapay_rules import PROVIDERS, refund_problem
from mwolo.sandbox.statements import LAYOUTS, Line, Statements
from mwolo.sandbox.store import Now, Row, Store, iso, major
from mwolo.sandbox.wire import cut_connection, pause, slow_seconds

WALLET = "pawapay"
# "Usually processed within seconds."
REFUND_TAKES_S = 0.2
LONGEST_REPORT = timedelta(days=31)
# Why a refund is not even taken on: the ledger's words → pawaPay's.
_REJECTIONS: Mapping[str, str] = {
    "unknown_payment": "DEPOSIT_NOT_FOUND",
    "reversed": "DEPOSIT_ALREADY_REFUNDED",
    "too_much": "AMOUNT_TOO_LARGE",
}
_AT_INITIATION = frozenset({*_REJECTIONS.values(), "REFUNDS_NOT_ALLOWED", "REFUND_IN_PROGRESS", "UNKNOWN_ERROR"})
# The published ones, then those an operator's number and a fee stand in.
COLUMNS = (
    "Creation Date", "MSISDN", "Transaction ID", "Amount", "Currency", "Country", "MNO", "Type",
    "Financial Transaction ID", "Original Transaction ID", "Fee",
)  # fmt: skip


class Post(Protocol):
    """Posts one signed callback about a phone's money."""

    def __call__(self, told: Mapping[str, Any], phone: str | None) -> bool: ...


@dataclass
class Report:
    """A report that was asked for. `looks`: how often its state was asked about: written at the second look."""

    wallet: Mapping[str, str]
    start: datetime
    end: datetime
    key: str
    created: float
    looks: int = 0


class PawapayMoney:
    """Refunds and reports. Reports asked for are forgotten when the box is closed."""

    def __init__(
        self,
        config: SandboxConfig,
        store: Store,
        ledger: OperatorLedger,
        faults: Faults,
        errands: Errands,
        now: Now,
        post: Post,
    ) -> None:
        self._config = config
        self._store = store
        self._ledger = ledger
        self._faults = faults
        self._errands = errands
        self._now = now
        self._post = post
        self._statements = Statements(ledger.movements, now, ledger.movements.ahead_s, faults.skew_s)
        self._reports: dict[str, Report] = {}
        ledger.movements.on_refunded(WALLET, self._stage)
        errands.on("pawapay.refund", self._tell)

    def add_to(self, pages: Blueprint) -> None:
        pages.add_url_rule("/refunds", view_func=self.refund, methods=["POST"])
        pages.add_url_rule("/refunds/<refund_id>", view_func=self.refund_status)
        pages.add_url_rule("/wallet-balances", view_func=self.balances)
        pages.add_url_rule("/statements", view_func=self.ask_report, methods=["POST"])
        pages.add_url_rule("/statements/<report_id>", view_func=self.report_status)
        pages.add_url_rule("/statements/<report_id>/<key>.csv", view_func=self.report_file)

    # -- refunds

    def refund(self) -> Response:
        asked = request.get_json(silent=True)
        asked = asked if isinstance(asked, dict) else {}
        own_id = str(asked.get("refundId", ""))
        deposit = self._ledger.entry(WALLET, str(asked.get("depositId", "")))
        phone = None if deposit is None else deposit["phone"]
        trouble = self._trouble(own_id, phone)
        if trouble is not None:
            return trouble
        problem = refund_problem(asked, None if deposit is None else deposit["currency"])
        if problem is not None:
            return self._rejected(own_id, problem)
        known = self._ledger.movements.refund_of(WALLET, own_id)
        if known is not None:
            code = _rejection(known)
            return self._rejected(own_id, code) if code else self._answer(known, "DUPLICATE_IGNORED")
        plan = self._plan(phone)
        minor = round(float(asked["amount"]) * 100) if "amount" in asked else None
        kept = {name: asked[name] for name in ("clientReferenceId", "metadata") if name in asked}
        wanted = RefundAsk(WALLET, own_id, str(asked["depositId"]), minor, REFUND_TAKES_S, plan, kept)
        back, _ = self._ledger.refund(wanted)
        code = _rejection(back)
        return self._rejected(own_id, code) if code else self._after_accepting(back, phone)

    def _trouble(self, own_id: str, phone: str | None) -> Response | None:
        """What keeps pawaPay from taking a refund on."""
        if self._faults.take(WALLET, "throttled", phone, operation="refund") is not None:
            self._ledger.note_request(WALLET, "refund", own_id, "429")
            return Response("Too Many Requests", 429, content_type="text/plain")
        if self._faults.take(WALLET, "error_before_accept", phone, operation="refund") is not None:
            return self._unknown_error(own_id)
        if self._faults.take(WALLET, "overloaded", phone, operation="refund") is not None:
            return self._rejected(own_id, "PROVIDER_TEMPORARILY_UNAVAILABLE")
        return None

    def _plan(self, phone: str | None) -> dict[str, Any]:
        plan: dict[str, Any] = {}
        refused = self._faults.take(WALLET, "refused", phone, operation="refund")
        if refused is not None:
            plan["refused"] = str(refused.get("code", "RECIPIENT_NOT_FOUND"))
        for name, kept in (("never_final", "never_final"), ("lost_callback", "untold")):
            if self._faults.take(WALLET, name, phone, operation="refund") is not None:
                plan[kept] = {}
        return plan

    def _after_accepting(self, back: Row, phone: str | None) -> Response:
        own_id = back["own_id"]
        if self._faults.take(WALLET, "error_after_accept", phone, operation="refund") is not None:
            return self._unknown_error(own_id)
        if self._faults.take(WALLET, "lost_answer", phone, operation="refund") is not None:
            self._ledger.note_request(WALLET, "refund", own_id, "(line cut)")
            return cut_connection()
        slow = self._faults.take(WALLET, "slow", phone, operation="refund")
        if slow is not None:
            pause(self._store.bell, slow_seconds(slow))
        return self._answer(back, "ACCEPTED")

    def refund_status(self, refund_id: str) -> Response:
        back = self._ledger.movements.refund_of(WALLET, refund_id)
        if back is not None and (back["own_id"] != refund_id or _rejection(back)):
            back = None
        phone = None if back is None else back["phone"]
        if self._faults.take(WALLET, "lost_answer", phone, operation="query_refund") is not None:
            self._ledger.note_request(WALLET, "query_refund", refund_id, "(line cut)")
            return cut_connection()
        if back is None:
            self._ledger.note_request(WALLET, "query_refund", refund_id, "NOT_FOUND")
            return jsonify(status="NOT_FOUND")
        told = _told(back)
        self._ledger.note_request(WALLET, "query_refund", refund_id, told["status"])
        return jsonify(status="FOUND", data=told)

    def _stage(self, db: Connection, back: Row) -> None:
        if not _rejection(back) and "untold" not in back["plan"]:
            self._errands.add(db, "pawapay.refund", {"refund": back["id"]})

    def _tell(self, body: Mapping[str, Any], tries: int) -> float | None:
        back = self._ledger.movements.one(body["refund"])
        if self._post(_told(back), back["phone"]) or tries >= 9:
            return None
        return float(self._config.callback_retry_s * 2**tries)

    def _answer(self, back: Row, status: str) -> Response:
        self._ledger.note_request(WALLET, "refund", back["own_id"], status)
        return jsonify(refundId=back["own_id"], status=status, created=iso(back["at"]))

    def _rejected(self, own_id: str, code: str) -> Response:
        self._ledger.note_request(WALLET, "refund", own_id, code)
        reason = {"failureCode": code, "failureMessage": code.replace("_", " ").capitalize() + "."}
        return jsonify(refundId=own_id, status="REJECTED", failureReason=reason)

    def _unknown_error(self, own_id: str) -> Response:
        self._ledger.note_request(WALLET, "refund", own_id, "500 UNKNOWN_ERROR")
        reply = jsonify(failureReason={"failureCode": "UNKNOWN_ERROR", "failureMessage": "Unable to process."})
        reply.status_code = 500
        return reply

    # -- balances and reports

    def balances(self) -> Response:
        held = {"CDF": 0, "USD": 0}
        for row in self._ledger.movements.of(WALLET):
            if row["state"] == "paid" and row["currency"] in held:
                held[row["currency"]] += row["minor"] * (1 if row["kind"] in ("payment", "walk_in") else -1)
        rows = [{"country": "COD", "currency": c, "balance": major(m, c), "provider": ""} for c, m in held.items()]
        return jsonify(balances=rows)

    def ask_report(self) -> Response:
        body = request.get_json(silent=True)
        asked: Mapping[str, Any] = body if isinstance(body, dict) else {}
        wallet = asked.get("wallet")
        wallet = wallet if isinstance(wallet, dict) else {}
        try:
            start, end = (_moment(asked[name]) for name in ("startDate", "endDate"))
        except (KeyError, TypeError, ValueError):
            return _refused("INVALID_PARAMETER")
        if (
            not isinstance(wallet, dict)
            or wallet.get("country") != "COD"
            or wallet.get("currency") not in ("CDF", "USD")
        ):
            return _refused("WALLET_NOT_FOUND")
        if not timedelta() < end - start <= LONGEST_REPORT:
            return _refused("INVALID_DATE_RANGE")
        report_id = str(uuid.uuid4())
        self._reports[report_id] = Report(wallet, start, end, secrets.token_hex(16), self._now())
        self._ledger.note_request(WALLET, "statement", report_id, "ACCEPTED")
        return jsonify(statementId=report_id, status="ACCEPTED", created=iso(self._now()))

    def report_status(self, report_id: str) -> Response:
        report = self._reports.get(report_id)
        if report is None:
            return jsonify(status="NOT_FOUND")
        report.looks += 1
        data: dict[str, Any] = {
            "statementId": report_id,
            "status": "PROCESSING" if report.looks < 2 else "COMPLETED",
            "wallet": dict(report.wallet),
            "created": iso(report.created),
        }
        if report.looks >= 2:
            data["downloadUrl"] = f"{request.base_url}/{report.key}.csv"
        return jsonify(status="FOUND", data=data)

    def report_file(self, report_id: str, key: str) -> Response:
        report = self._reports.get(report_id)
        if report is None or not secrets.compare_digest(report.key, key):
            return Response("No such report.", 404, content_type="text/plain")
        paper = io.StringIO()
        pen = csv.writer(paper, lineterminator="\r\n")
        pen.writerow(COLUMNS)
        currency, day = str(report.wallet["currency"]), report.start.date()
        while day <= report.end.date():
            for line in self._statements.lines(WALLET, day, currency):
                if report.start.timestamp() <= line.at < report.end.timestamp():
                    pen.writerow(self._cells(line, currency))
            day += timedelta(days=1)
        return Response(paper.getvalue(), content_type="text/csv; charset=utf-8")

    def _cells(self, line: Line, currency: str) -> tuple[str, ...]:
        at = datetime.fromtimestamp(line.at + self._faults.skew_s(WALLET), UTC)
        incoming = line.kind in ("payment", "walk_in")
        amount = f"{'' if incoming else '-'}{line.minor // 100}.{line.minor % 100:02d}"
        entry = self._ledger.entry(WALLET, line.own_id) if line.own_id else None
        brand = None if entry is None else entry["brand"]
        operator = next((name for known, name, _ in PROVIDERS.values() if known == brand), "")
        return (
            f"{at:%Y-%m-%d %H:%M:%S}",
            line.phone.removeprefix("+"),
            line.own_id or (line.number if line.kind == "payout" else ""),
            amount,
            currency,
            "COD",
            operator,
            LAYOUTS[WALLET].words[line.kind],
            line.number,
            line.original,
            f"{line.fee // 100}.{line.fee % 100:02d}" if line.fee else "",
        )


def _rejection(back: Row) -> str | None:
    """The code a refund was turned away with at once, or None: then it was taken on."""
    if back["state"] != "failed":
        return None
    code = _REJECTIONS.get(back["reason"] or "", back["reason"] or "")
    return code if code in _AT_INITIATION else None


def _told(back: Row) -> dict[str, Any]:
    """A refund as pawaPay tells it, in a status answer and in a callback alike."""
    status = {"asked": "PROCESSING", "paid": "COMPLETED"}.get(back["state"], "FAILED")
    told: dict[str, Any] = {
        "refundId": back["own_id"],
        "status": status,
        "amount": major(back["minor"], back["currency"]),
        "currency": back["currency"],
        "country": "COD",
        "recipient": {"type": "MMO", "accountDetails": {"phoneNumber": back["phone"].removeprefix("+")}},
        **back["asked_as"],
        "created": iso(back["at"]),
    }
    if back["provider_txn_id"]:
        told["providerTransactionId"] = back["provider_txn_id"]
    if status == "FAILED":
        code = back["reason"] or "UNSPECIFIED_FAILURE"
        told["failureReason"] = {"failureCode": code, "failureMessage": code.replace("_", " ").capitalize() + "."}
    return told


def _moment(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _refused(code: str) -> Response:
    return jsonify(status="REJECTED", failureReason={"failureCode": code, "failureMessage": code.capitalize() + "."})
