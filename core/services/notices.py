"""Sends notices, and takes in what gateways and people answer."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import outbox
from core.billing.tables import InvoiceRow
from core.customers.tables import PhoneRow
from core.db.engine import Database, assert_outside_transaction
from core.kernel.clock import Clock
from core.kernel.errors import PartnerDown, PartnerError, PartnerRefused, PartnerThrottled
from core.notices import queries, rules
from core.notices.errors import BadRecipient, NotTaken, OptedOut, RouteRefused
from core.notices.pasted import covered
from core.notices.ports import DeliveryReport, InboundText, OutboundText, Receipt, SmsGateway
from core.notices.staging import errand_key
from core.notices.tables import DeliveryReportRow, InboundSmsRow, NoticeRow
from core.notices.texts import KINDS
from core.outbox import Dead, Done, Later, Outcome, Retry
from core.phone_numbers import is_mobile, masked

# How long a delivery report gets to answer a doubt before a harmless text is sent a second time. Real time.
DOUBT_LASTS = timedelta(minutes=10)
# Calls that ended in a clear no before a person is asked to look.
CALLS_MAX = 8
# A report this old is not matched to a text by its phone number any more.
_MATCH_WINDOW = timedelta(days=3)
_BACKOFF_S, _BACKOFF_CAP_S = 15, 900
# What a broken clock of a gateway may say at most: a year.
_LONGEST_DELAY_S = 31_536_000

_log = structlog.get_logger("notices")


@dataclass(frozen=True, slots=True)
class _Call:
    """One call that is about to be made, already written down."""

    notice_id: int
    gateway: SmsGateway
    text: OutboundText


class Notices:
    """`gateways`: in the order in which they are asked. Safe to share between threads."""

    def __init__(self, db: Database, clock: Clock, gateways: Sequence[SmsGateway]) -> None:
        self._db = db
        self._clock = clock
        self._gateways = tuple(gateways)
        self._paused: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def send(self, notice_id: int) -> Outcome:
        """Hand one notice to a gateway: claim, call, record, each its own step. Running twice is harmless.

        A text found under way is one whose worker stopped in between: nobody knows whether it went. It is sent again
        only where its kind allows that; a receipt never is (`docs/notices.md`).
        """
        tried: set[str] = set()
        while True:
            claimed = self._claim(notice_id, tried)
            if not isinstance(claimed, _Call):
                self._match_again(notice_id)
                return claimed
            # No transaction is open here: a gateway may take ten seconds, and a row lock must not.
            assert_outside_transaction()
            try:
                answer: Receipt | PartnerError = claimed.gateway.send(claimed.text)
            except PartnerError as error:
                answer = error
            outcome = self._record(claimed, answer)
            self._after(claimed, answer)
            if outcome is not None:
                return outcome
            tried.add(claimed.gateway.name)

    def take_delivery(self, gateway: str, report: DeliveryReport) -> None:
        """Keep a delivery report and move its notice forward. One that comes before our own row waits for it."""
        with self._db.begin() as session:
            self._keep_report(session, gateway, report)
        self._match(gateway, report.reference, report.phone)

    def take_opt_out(self, phone: str, *, gateway: str) -> None:
        """Somebody wants to be left alone. `phone`: E.164. What still goes is listed in `docs/notices.md`."""
        with self._db.begin() as session:
            self._opt_out(session, phone)
        _log.info("opted_out", phone=masked(phone), gateway=gateway)

    def take_inbound(self, gateway: str, text: InboundText) -> bool:
        """Keep a text somebody sent us, and the errand to answer it. False when it was delivered before.

        `STOP` and `ARRET` opt out at once, whatever becomes of the answer. PINs are covered before anything is kept.
        """
        stop = rules.is_stop(text.body) and is_mobile(text.phone)
        with self._db.begin() as session:
            known = select(InboundSmsRow.id).where(
                InboundSmsRow.gateway == gateway, InboundSmsRow.gateway_ref == text.reference
            )
            if session.scalar(known) is not None:
                return False
            row = InboundSmsRow(
                gateway=gateway,
                gateway_ref=text.reference,
                phone=text.phone,
                body=covered(text.body),
                received_at=self._clock.now(),
                handled="opt_out" if stop else "",
                sent_to=text.to[:20],
                delayed_s=self._delay_of(text),
            )
            if not _added(session, row):
                return False
            if stop:
                self._opt_out(session, text.phone)
            # Somebody holds the phone in her hand.
            key, body = f"sms:{row.id}", {"inbound_id": row.id}
            outbox.stage(session, kind="sms.answer", key=key, body=body, clock=self._clock, priority=1)
        return True

    def _delay_of(self, text: InboundText) -> int:
        """Real seconds on the way. Clocks differ: what seems to come from the future was not delayed."""
        if text.sent_at is None:
            return 0
        delay = (self._clock.real_now() - text.sent_at).total_seconds()
        return min(max(int(delay), 0), _LONGEST_DELAY_S)

    # -- claim ---------------------------------------------------------------------------------------------------------

    def _claim(self, notice_id: int, tried: set[str]) -> _Call | Outcome:
        with self._db.begin() as session:
            row = queries.locked(session, notice_id)
            if row is None:
                return Dead("no such notice")
            if row.state == "sending":
                self._doubt(row, "the worker stopped in the middle")
            if row.state == "unknown":
                self._adopt(session, row)
            if row.state == "unknown":
                waiting = self._still_in_doubt(row)
                if waiting is not None:
                    return waiting
            elif row.state != "queued":
                return Done(f"already {row.state}")
            stopped = self._why_not(session, row)
            if stopped is not None:
                return stopped
            gateway = self._choose(tried)
            if gateway is None:
                return self._no_gateway(row, tried)
            row.state, row.gateway, row.gateway_ref = "sending", gateway.name, None
            row.attempts += 1
            return _Call(row.id, gateway, OutboundText(row.recipient, row.body, f"notice:{row.id}"))

    def _still_in_doubt(self, row: NoticeRow) -> Outcome | None:
        """What to do with a text that may have gone; None: send it once more."""
        kind = KINDS.get(row.kind)
        if kind is None or row.doubts > kind.repeats or self._clock.now() >= row.expires_at:
            return Done("unknown: waits for its delivery report")
        since = row.in_doubt_since or self._clock.real_now()
        left = (since + DOUBT_LASTS - self._clock.real_now()).total_seconds()
        if left > 0:
            return Retry(left, "unknown: waits for its delivery report", counts=False)
        return None

    def _why_not(self, session: Session, row: NoticeRow) -> Outcome | None:
        """Whether it has become late, unwanted or untrue since it was staged; None: it may go."""
        now, kind = self._clock.now(), KINDS.get(row.kind)
        if kind is None:
            return Dead(f"unknown kind {row.kind}")
        if row.state == "queued" and now >= row.expires_at:
            row.state, row.detail = "expired", "too late to be of use"
            return Done("expired")
        if kind.optional and queries.opted_out(session, row.recipient):
            return _suppress(row, "opted out")
        if kind.owed and row.invoice_id is not None and not _still_owed(session, row.invoice_id):
            return _suppress(row, "not owed any more")
        start = max(row.not_before, rules.earliest(kind, now, row.zone))
        if start > now:
            return Later(start, "night at the site")
        return None

    def _choose(self, tried: set[str]) -> SmsGateway | None:
        now = self._clock.real_now()
        with self._lock:
            free = [g for g in self._gateways if g.name not in tried and self._paused.get(g.name, now) <= now]
        return free[0] if free else None

    def _no_gateway(self, row: NoticeRow, tried: set[str]) -> Outcome:
        if row.attempts >= CALLS_MAX:
            row.state = "failed"
            return Dead(f"no gateway takes it: {row.detail}")
        with self._lock:
            ends = min(self._paused.values(), default=self._clock.real_now())
        wait = max(_backoff(row.attempts), (ends - self._clock.real_now()).total_seconds())
        return Retry(
            min(wait, _BACKOFF_CAP_S), "no gateway takes it" if tried else "every gateway pauses", counts=False
        )

    # -- record --------------------------------------------------------------------------------------------------------

    def _record(self, call: _Call, answer: Receipt | PartnerError) -> Outcome | None:
        """Write down what the gateway said. None: ask the next one."""
        with self._db.begin() as session:
            row = queries.locked(session, call.notice_id)
            assert row is not None
            if isinstance(answer, Receipt):
                row.gateway_ref = answer.reference
                row.state = rules.further(row.state, "sent")
                row.sent_at, row.detail, row.in_doubt_since = self._clock.now(), "", None
                return Done(f"{answer.gateway} {answer.reference or 'without a reference'}")
            if row.state not in ("sending", "unknown"):
                # A report has overtaken the answer: it is the stronger word.
                return Done(f"already {row.state}")
            doubted = row.state == "unknown"
            row.detail = f"{answer.partner}: {answer.code}"[:120]
            said = self._heard(session, row, answer)
            if doubted and row.state == "queued":
                # Our lease had ended: another worker put it in doubt, and may have closed the errand with that.
                key, body = errand_key(row.id), {"notice_id": row.id}
                outbox.stage_again(session, kind="notice.send", key=key, body=body, clock=self._clock)
            return said

    def _heard(self, session: Session, row: NoticeRow, answer: PartnerError) -> Outcome | None:
        if isinstance(answer, PartnerRefused):
            return self._refused(session, row, answer)
        if isinstance(answer, PartnerThrottled):
            row.state = "queued"
            return Retry(_seconds(answer.detail, _backoff(row.attempts)), "throttled", counts=False)
        if isinstance(answer, PartnerDown) and not answer.sent:
            row.state = "queued"
            return Retry(_backoff(row.attempts), f"not reached: {answer.code}", counts=False)
        self._doubt(row, row.detail)
        return self._still_in_doubt(row)

    def _refused(self, session: Session, row: NoticeRow, answer: PartnerRefused) -> Outcome | None:
        match answer:
            case RouteRefused():
                row.state = "queued"
                if answer.pause_s:
                    with self._lock:
                        self._paused[answer.partner] = self._clock.real_now() + timedelta(seconds=answer.pause_s)
                    _log.error("gateway_paused", gateway=answer.partner, code=answer.code, seconds=answer.pause_s)
                return None
            case NotTaken() if row.attempts < answer.tries:
                row.state = "queued"
                return Retry(answer.after_s, f"not taken: {answer.code}", counts=False)
            case OptedOut():
                self._opt_out(session, row.recipient)
                return _suppress(row, f"opted out at {answer.partner}")
            case BadRecipient():
                row.state = "failed"
                return Done(f"not a number for texts: {answer.code}")
            case _:
                row.state = "failed"
                return Dead(f"refused: {row.detail}")

    def _doubt(self, row: NoticeRow, why: str) -> None:
        row.state, row.detail = "unknown", why[:120]
        row.doubts += 1
        row.in_doubt_since = self._clock.real_now()

    # -- what comes back -----------------------------------------------------------------------------------------------

    def _after(self, call: _Call, answer: Receipt | PartnerError) -> None:
        """Look for reports that were faster than our own commit: whoever commits last sees the other."""
        if isinstance(answer, Receipt):
            if answer.reference is not None:
                self._match(call.gateway.name, answer.reference, "")
        elif isinstance(answer, PartnerDown) and answer.sent:
            with self._db.begin() as session:
                row = queries.locked(session, call.notice_id)
                if row is not None:
                    self._adopt(session, row)

    def _match_again(self, notice_id: int) -> None:
        """A worker may have stopped after recording the gateway's answer and before looking for its reports."""
        with self._db.read() as session:
            row = session.get(NoticeRow, notice_id)
        if row is not None and row.state == "sent" and row.gateway and row.gateway_ref:
            self._match(row.gateway, row.gateway_ref, "")

    def _adopt(self, session: Session, row: NoticeRow) -> None:
        """A report without a notice, for the phone of the only notice in doubt: they belong together."""
        since = self._clock.now() - _MATCH_WINDOW
        if row.gateway is None or queries.the_one_in_doubt(session, row.gateway, row.recipient, since) is not row:
            return
        reference = queries.the_one_parked_reference(session, row.gateway, row.recipient, since)
        if reference is not None:
            row.gateway_ref = reference
            _apply_all(session, row)

    def _keep_report(self, session: Session, gateway: str, report: DeliveryReport) -> None:
        known = select(DeliveryReportRow.id).where(
            DeliveryReportRow.gateway == gateway,
            DeliveryReportRow.gateway_ref == report.reference,
            DeliveryReportRow.status == report.status,
        )
        if session.scalar(known) is None:
            row = DeliveryReportRow(
                gateway=gateway,
                gateway_ref=report.reference,
                status=report.status,
                meaning=report.meaning,
                reason=report.reason,
                network_code=report.network,
                phone=report.phone,
                received_at=self._clock.now(),
            )
            _added(session, row)
        if report.meaning is None:
            _log.warning("delivery_status_unknown", gateway=gateway, status=report.status)
        if report.blocked and report.phone:
            self._opt_out(session, report.phone)

    def _match(self, gateway: str, reference: str, phone: str) -> None:
        """Bring a reference's reports and its notice together, whichever was first. Repeating it changes nothing."""
        with self._db.begin() as session:
            row = queries.by_reference(session, gateway, reference)
            if row is None and phone:
                since = self._clock.now() - _MATCH_WINDOW
                row = queries.the_one_in_doubt(session, gateway, phone, since)
                if row is not None:
                    row.gateway_ref = reference
            if row is not None:
                _apply_all(session, row)

    def _opt_out(self, session: Session, phone: str) -> None:
        row = session.get(PhoneRow, phone, with_for_update={"key_share": True})
        if row is None and _added(session, PhoneRow(phone=phone, opted_out_at=self._clock.now())):
            return
        row = row or session.get(PhoneRow, phone, with_for_update={"key_share": True})
        if row is not None and row.opted_out_at is None:
            row.opted_out_at = self._clock.now()


def _apply_all(session: Session, row: NoticeRow) -> None:
    """Move a notice as far as its reports carry it."""
    for report in queries.reports_of(session, row.gateway or "", row.gateway_ref or ""):
        report.notice_id = row.id
        before = row.state
        match report.meaning:
            case "sent" | "failed" | "delivered" as meaning:
                row.state = rules.further(row.state, meaning)
            case _:
                continue
        if row.state == before:
            continue
        row.in_doubt_since = None
        row.sent_at = row.sent_at or report.received_at
        row.detail = f"{report.status} {report.reason}".strip() if row.state == "failed" else ""
        if row.state == "delivered":
            row.delivered_at = report.received_at
            queries.remember_delivery(session, row.id, report.received_at)


def _suppress(row: NoticeRow, why: str) -> Done:
    if row.state != "unknown":  # one copy of it may have gone: that stays the truth
        row.state, row.detail = "suppressed", why
    return Done(why)


def _still_owed(session: Session, invoice_id: int) -> bool:
    invoice = session.get(InvoiceRow, invoice_id)
    return invoice is not None and invoice.state == "sent" and invoice.paid_minor < invoice.total_minor


def _added(session: Session, row: object) -> bool:
    """Insert; False when somebody else was faster with the same key."""
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        return False
    return True


def _backoff(calls: int) -> float:
    return float(min(_BACKOFF_S * 2 ** min(calls, 10), _BACKOFF_CAP_S))


def _seconds(text: str, otherwise: float) -> float:
    """A Retry-After header in seconds, within reason; some send a date, which is not worth reading."""
    return min(float(text), _BACKOFF_CAP_S) if text.isdecimal() and text.isascii() else otherwise
