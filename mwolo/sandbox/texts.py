"""The aggregator's SMS side: the messaging endpoint, delivery reports, messages from a phone.

Speaks Africa's Talking's `version1/messaging` as its SDK and its documentation know it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, jsonify, request
from sqlalchemy import insert, select, update

from core.kernel.gsm7 import segments
from mwolo.sandbox.config import SandboxConfig
from mwolo.sandbox.errands import Errands
from mwolo.sandbox.faults import Faults
from mwolo.sandbox.outbound import Outbound
from mwolo.sandbox.phones import network_of
from mwolo.sandbox.store import Now, Row, Store, iso, texts
from mwolo.sandbox.wire import cut_connection, pause, slow_seconds

TARGET = "africastalking"
PRICE = "0.8000"
# Codes given per recipient. What is not a number refuses the whole request.
STATUSES: Mapping[int, str] = {
    100: "Processed",
    101: "Success",
    102: "Queued",
    401: "RiskHold",
    402: "InvalidSenderId",
    403: "InvalidPhoneNumber",
    404: "UnsupportedNumberType",
    405: "InsufficientBalance",
    406: "UserInBlacklist",
    407: "CouldNotRoute",
    409: "DoNotDisturbRejection",
    500: "InternalServerError",
    501: "GatewayError",
    502: "RejectedByGateway",
}
_NUMBER = re.compile(r"\+[1-9]\d{7,14}")
_SENDER = re.compile(r"[0-9A-Za-z]{3,11}")
# Incoming messages are repeated until 200, for hours; a report a few times. Neither count is published.
MOST_REPORTS = 5
MOST_INBOUND = 30
# How long a late message has lain at the operator, as its date says.
LATE_S = 3600.0


class SmsNetwork:
    """Takes texts on, shows them on the phones, reports what became of them."""

    def __init__(
        self, config: SandboxConfig, store: Store, faults: Faults, errands: Errands, outbound: Outbound, now: Now
    ) -> None:
        self._config = config
        self._store = store
        self._faults = faults
        self._errands = errands
        self._outbound = outbound
        self._now = now
        errands.on("sms.report", self._report_later)
        errands.on("sms.inbound", self._hand_in)

    def blueprint(self) -> Blueprint:
        pages = Blueprint("africastalking", __name__, url_prefix="/africastalking/version1")
        pages.add_url_rule("/messaging", view_func=self.messaging, methods=["POST"])
        return pages

    def messaging(self) -> Response:
        form = request.form
        right_key = secrets.compare_digest(request.headers.get("apiKey", ""), self._config.at_api_key)
        if not right_key or form.get("username") != self._config.at_username:
            return _plain("The supplied authentication is invalid", 401)
        message, sender = form.get("message", ""), form.get("from", "AFRICASTKNG")
        numbers = [one.strip() for one in form.get("to", "").split(",") if one.strip()]
        if not message or not numbers:
            return _plain("Must have 'to' and 'message' in your request", 400)
        if not _SENDER.fullmatch(sender):
            return _nobody("InvalidSenderId")
        refused = self._faults.take(TARGET, "sms_refused", numbers[0])
        if refused is not None and not str(refused.get("code", 407)).isdigit():
            return _nobody(str(refused["code"]))
        code = int(refused.get("code", 407)) if refused is not None else None
        recipients = [self._one(number, sender, message, code) for number in numbers]
        return self._answered(recipients, numbers[0], segments(message))

    def _one(self, number: str, sender: str, message: str, refused: int | None) -> dict[str, Any]:
        """Take one recipient on, or say why not."""
        code = refused if refused is not None else (101 if _NUMBER.fullmatch(number) else 403)
        status = STATUSES.get(code, "GatewayError")
        if code > 102:
            return {"statusCode": code, "number": number, "status": status, "cost": "0", "messageId": "None"}
        parts = segments(message)
        message_id = f"ATXid_{secrets.token_hex(16)}"
        row = {
            "message_id": message_id,
            "at": self._now(),
            "sender": sender,
            "recipient": number,
            "text": message,
            "segments": parts,
            "status": "Sent",
        }
        early = self._faults.take(TARGET, "delivery_before_answer", number)
        report = {"message_id": message_id, **self._fate(number)}
        with self._store.begin() as db:
            db.execute(insert(texts).values(row))
            if early is None and report["status"] is not None:
                self._errands.add(db, "sms.report", report, delay_s=self._config.delivery_delay_s)
        if early is not None and report["status"] is not None:
            self._report_later(report, 0)
        cost = f"KES {0.8 * parts:.4f}"
        return {"statusCode": code, "number": number, "status": status, "cost": cost, "messageId": message_id}

    def _fate(self, number: str) -> dict[str, Any]:
        """What the delivery report will say; status None: there will be none."""
        if self._faults.take(TARGET, "delivery_lost", number) is not None:
            return {"status": None}
        failed = self._faults.take(TARGET, "delivery_failed", number)
        if failed is None:
            return {"status": "Success"}
        return {"status": failed.get("status", "Failed"), "reason": failed.get("reason", "DeliveryFailure")}

    def _answered(self, recipients: list[dict[str, Any]], first: str, parts: int) -> Response:
        slow = self._faults.take(TARGET, "sms_slow", first)
        if slow is not None:
            pause(self._store.bell, slow_seconds(slow))
        if self._faults.take(TARGET, "sms_lost_answer", first) is not None:
            return cut_connection()
        taken = sum(one["statusCode"] <= 102 for one in recipients)
        total = f"Sent to {taken}/{len(recipients)} Total Cost: KES {0.8 * parts * taken:.4f}"
        reply = jsonify(SMSMessageData={"Message": total, "Recipients": recipients})
        reply.status_code = 201
        return reply

    def _report_later(self, body: Mapping[str, Any], tries: int) -> float | None:
        """Tell the product what became of a text."""
        mine = texts.c.message_id == body["message_id"]
        with self._store.read() as db:
            row = db.execute(select(texts).where(mine)).mappings().one()
        if tries == 0:
            with self._store.begin() as db:
                db.execute(update(texts).where(mine).values(status=body["status"]))
        fields = {
            "id": body["message_id"],
            "status": body["status"],
            "phoneNumber": row["recipient"],
            "networkCode": network_of(row["recipient"]),
            "retryCount": str(tries),
        }
        if body.get("reason"):
            fields["failureReason"] = body["reason"]
        answer = self._outbound.form(self._config.sms_delivery_url, fields)
        if answer.status == 200 or tries + 1 >= MOST_REPORTS or not self._config.sms_delivery_url:
            return None
        return float(self._config.callback_retry_s * 2**tries)

    # -- the phones' side

    def on_phone(self, phone: str | None, after: int) -> list[dict[str, Any]]:
        """Texts after an id, oldest first. On a phone: those that reached it; without one: all that were taken on."""
        query = select(texts).where(texts.c.id > after).order_by(texts.c.id)
        if phone is not None:
            query = query.where(texts.c.recipient == phone, texts.c.status.in_(("Sent", "Success")))
        with self._store.read() as db:
            return [_text(row) for row in db.execute(query).mappings()]

    def send_from_phone(self, phone: str, text: str) -> str:
        """A phone texts the short code. Returns the message's id; it is handed in until the product says 200."""
        message_id = secrets.token_hex(16)
        late = self._faults.take(TARGET, "inbound_late", phone)
        held_s = 0.0 if late is None else float(late.get("seconds", LATE_S))
        ids = [message_id]
        if self._faults.take(TARGET, "inbound_duplicate", phone) is not None:
            ids.append(message_id)
        if self._faults.take(TARGET, "inbound_new_id", phone) is not None:
            ids.append(secrets.token_hex(16))
        with self._store.begin() as db:
            for one in ids:
                body = {"id": one, "from": phone, "text": text, "at": self._now() - held_s}
                self._errands.add(db, "sms.inbound", body)
        return message_id

    def _hand_in(self, body: Mapping[str, Any], tries: int) -> float | None:
        fields = {
            "date": datetime.fromtimestamp(body["at"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "from": body["from"],
            "id": body["id"],
            "linkId": "",
            "text": body["text"],
            "to": re.sub(r"\D", "", self._config.short_code),
            "cost": "KES 1.00",
            "networkCode": network_of(body["from"]),
        }
        answer = self._outbound.form(self._config.sms_inbound_url, fields)
        if answer.status == 200 or tries + 1 >= MOST_INBOUND:
            return None
        return float(min(self._config.callback_retry_s * 2**tries, 600.0))


def _text(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "at": iso(row["at"]),
        "from": row["sender"],
        "to": row["recipient"],
        "text": row["text"],
        "segments": row["segments"],
        "status": row["status"],
    }


def _plain(text: str, status: int) -> Response:
    return Response(text, status=status, content_type="text/plain; charset=utf-8")


def _nobody(reason: str) -> Response:
    """A refusal of the whole request: accepted on the face of it, with nobody in it."""
    reply = jsonify(SMSMessageData={"Message": reason, "Recipients": []})
    reply.status_code = 201
    return reply
