"""The aggregator's USSD side: a phone dials, the product answers, the network closes.

Speaks Africa's Talking's callback: five form fields, `text` with every reply so far joined by `*`, answers that start
with CON or END, and a notification at the end of the call.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from core.kernel.gsm7 import cut, septets
from mwolo.sandbox.config import SandboxConfig
from mwolo.sandbox.errands import Errands
from mwolo.sandbox.faults import Faults
from mwolo.sandbox.outbound import Answer, Outbound
from mwolo.sandbox.phones import network_of
from mwolo.sandbox.store import Now, Row, Store, calls

TARGET = "africastalking"
# The protocol's ceiling for one screen: 182 septets, or 80 characters outside the GSM alphabet.
MOST_SEPTETS, MOST_UCS2 = 182, 80
BAD_ANSWER = "Response should start with a CON or an END"


class NoCall(ValueError):
    """The phone has no open call, or the code is not served here. The text says so."""


class UssdNetwork:
    """Opens, continues and closes calls. One call per phone; a new dial ends the old one."""

    def __init__(
        self, config: SandboxConfig, store: Store, faults: Faults, errands: Errands, outbound: Outbound, now: Now
    ) -> None:
        self._config = config
        self._store = store
        self._faults = faults
        self._errands = errands
        self._outbound = outbound
        self._now = now
        self._twin = ThreadPoolExecutor(8, thread_name_prefix="ussd-twin")
        errands.on("ussd.end", self._tell_end)
        errands.on("ussd.timeout", self._time_out)

    def close(self) -> None:
        self._twin.shutdown(wait=True, cancel_futures=True)

    def dial(self, phone: str, code: str) -> dict[str, Any]:
        """Dial a code; what follows the short code is input typed ahead. Raises NoCall for another service's code."""
        text = self._typed_ahead(code)
        call_id = f"ATUid_{secrets.token_hex(16)}"
        row = {
            "id": call_id,
            "phone": phone,
            "service_code": self._config.short_code,
            "text": text,
            "hops": 0,
            "last_answer": "",
            "started": self._now(),
        }
        with self._store.begin() as db:
            for old in db.execute(_open_calls(phone)).mappings().all():
                self._end(db, old, "Incomplete")
            db.execute(insert(calls).values(row))
            self._errands.add(db, "ussd.timeout", {"call": call_id}, delay_s=self._config.ussd_session_s)
        return self._turn(call_id)

    def reply(self, phone: str, typed: str) -> dict[str, Any]:
        """Send one reply. Raises NoCall when the phone has no open call."""
        with self._store.begin() as db:
            call = db.execute(_open_calls(phone)).mappings().first()
            if call is None:
                raise NoCall("This phone has no open call: dial first.")
            # A call that opened with an empty text has its first reply without a star in front.
            text = typed if call["text"] == "" and call["hops"] <= 1 else f"{call['text']}*{typed}"
            db.execute(update(calls).where(calls.c.id == call["id"]).values(text=text))
        return self._turn(call["id"])

    def hang_up(self, phone: str) -> None:
        with self._store.begin() as db:
            for call in db.execute(_open_calls(phone)).mappings().all():
                self._end(db, call, "Incomplete")

    def _typed_ahead(self, code: str) -> str:
        root = self._config.short_code.rstrip("#")
        dialled = code.strip()
        if dialled in (self._config.short_code, root):
            return ""
        if not dialled.startswith(f"{root}*") or not dialled.endswith("#"):
            raise NoCall(f"No service answers {dialled!r}; dial {self._config.short_code}.")
        return dialled.removeprefix(f"{root}*").removesuffix("#")

    def _turn(self, call_id: str) -> dict[str, Any]:
        with self._store.read() as db:
            call = _call(db, call_id)
        answer, complaint = self._ask(call)
        body = answer.text
        if answer.status == 0 or answer.status >= 300:
            return self._failed(call_id, body, answer.problem or f"HTTP {answer.status}")
        if not body.startswith(("CON ", "END ")) and body not in ("CON", "END"):
            return self._failed(call_id, body, BAD_ANSWER)
        text, too_long = fitted(body[4:])
        ended = body.startswith("END")
        with self._store.begin() as db:
            call = _call(db, call_id)
            shown = {"hops": call["hops"] + 1, "last_answer": body}
            db.execute(update(calls).where(calls.c.id == call_id).values(shown))
            if ended:
                self._end(db, _call(db, call_id), "Success")
            ended = ended or call["ended"] is not None
        return _screen(call_id, text, ended=ended, error=complaint or too_long)

    def _ask(self, call: Row) -> tuple[Answer, str | None]:
        """One request to the product, or two of the same: the first answer, and what is odd about the second."""
        fields = {
            "sessionId": call["id"],
            "phoneNumber": call["phone"],
            "networkCode": network_of(call["phone"]),
            "serviceCode": call["service_code"],
            "text": call["text"],
        }
        twice = self._faults.take(TARGET, "ussd_duplicate", call["phone"])
        if twice is None:
            return self._post(fields), None
        if twice.get("together"):
            other = self._twin.submit(self._post, fields)
            first, second = self._post(fields), other.result()
        else:
            first, second = self._post(fields), self._post(fields)
        same = (first.status, first.body) == (second.status, second.body)
        return first, None if same else f"The same request was answered differently: {second.text!r}"

    def _post(self, fields: Mapping[str, str]) -> Answer:
        return self._outbound.form(self._config.ussd_url, fields, timeout_s=self._config.ussd_answer_s)

    def _failed(self, call_id: str, body: str, why: str) -> dict[str, Any]:
        with self._store.begin() as db:
            db.execute(update(calls).where(calls.c.id == call_id).values(last_answer=body))
            self._end(db, _call(db, call_id), "Failed", why)
        return _screen(call_id, "", ended=True, error=f"The network closed the call: {why}.")

    def _end(self, db: Connection, call: Row, status: str, error: str = "") -> None:
        """Close a call once, and let the notification follow."""
        if call["ended"] is not None:
            return
        now = self._now()
        db.execute(update(calls).where(calls.c.id == call["id"]).values(ended=now, status=status))
        if self._faults.take_within(db, TARGET, "ussd_no_end", call["phone"]) is None:
            self._errands.add(db, "ussd.end", {"call": call["id"], "error": error})

    def _tell_end(self, body: Mapping[str, Any], _tries: int) -> None:
        with self._store.read() as db:
            call = _call(db, body["call"])
        fields = {
            "date": datetime.fromtimestamp(call["ended"], UTC).strftime("%Y-%m-%d %H:%M:%S"),
            "sessionId": call["id"],
            "serviceCode": call["service_code"],
            "networkCode": network_of(call["phone"]),
            "phoneNumber": call["phone"],
            "status": call["status"],
            "cost": "USD 0.0050",
            "durationInMillis": str(int((call["ended"] - call["started"]) * 1000)),
            "hopsCount": str(call["hops"]),
            "input": call["text"],
            "lastAppResponse": call["last_answer"],
        }
        if body["error"]:
            fields["errorMessage"] = body["error"]
        # Best effort, once: nothing is known of repetitions.
        self._outbound.form(self._config.ussd_end_url, fields)
        with self._store.begin() as db:
            # The transcript may hold a PIN; nobody needs it any more.
            db.execute(update(calls).where(calls.c.id == call["id"]).values(text="", last_answer=""))

    def _time_out(self, body: Mapping[str, Any], _tries: int) -> None:
        with self._store.begin() as db:
            self._end(db, _call(db, body["call"]), "Incomplete")


def fitted(text: str) -> tuple[str, str | None]:
    """What a handset shows of a screen, and a complaint when that is not all of it."""
    size = septets(text)
    if size is None:
        if len(text) <= MOST_UCS2:
            return text, None
        return text[
            :MOST_UCS2
        ], f"The screen has {len(text)} characters outside the GSM alphabet's reach, {MOST_UCS2} fit."
    if size <= MOST_SEPTETS:
        return text, None
    return cut(text, MOST_SEPTETS), f"The screen has {size} septets, {MOST_SEPTETS} fit."


def _open_calls(phone: str) -> Any:
    return select(calls).where(calls.c.phone == phone, calls.c.ended.is_(None)).order_by(calls.c.started)


def _call(db: Connection, call_id: str) -> Row:
    return db.execute(select(calls).where(calls.c.id == call_id)).mappings().one()


def _screen(call_id: str, text: str, *, ended: bool, error: str | None) -> dict[str, Any]:
    return {"session": call_id, "text": text, "ended": ended, "error": error}
