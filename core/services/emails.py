"""Sends e-mails, and takes in what comes back: reports of non-delivery, and wishes to be left alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from core import outbox
from core.billing.tables import InvoiceRow
from core.customers.tables import CustomerRow
from core.db.engine import Database, assert_outside_transaction
from core.kernel.clock import Clock
from core.kernel.errors import PartnerDown, PartnerError, PartnerRefused, StateConflict
from core.kernel.ids import new_uuid
from core.notices import bounces, queries, rules
from core.notices.emails import EMAILS
from core.notices.errors import BadRecipient, NotTaken, RouteRefused
from core.notices.letter import html_of, text_of
from core.notices.mailing import email_key
from core.notices.ports import Attachment, EmailGateway, OutboundEmail, Receipt
from core.notices.tables import DeliveryReportRow, EmailAddressRow, NoticeRow
from core.outbox import Dead, Done, Later, Outcome, Retry

_log = structlog.get_logger("emails")

_BACKOFF_S, _BACKOFF_CAP_S = 60, 3600
# A server that does not answer is not asked for each of a thousand bills.
_PAUSE = timedelta(seconds=60)
_MAY_REPEAT = ("unknown", "failed", "expired", "suppressed")
NEVER_TWICE = "unknown: it may have gone, and is never sent twice"


@dataclass(frozen=True, slots=True)
class Letter:
    """One e-mail, as the console shows it. `may_repeat`: a person may have it sent once more."""

    id: int
    at: datetime
    kind: str
    subject: str
    state: str
    detail: str
    may_repeat: bool


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A customer's address, what we know of it, and the newest e-mails to the customer, newest first."""

    address: str | None
    bounced_at: datetime | None
    bounce: str
    opted_out_at: datetime | None
    letters: tuple[Letter, ...]


# kind and id of a document → the paper; None when there is no such thing.
Papers = Callable[[str, str], Attachment | None]


class Emails:
    """`gateway` None: there is no mail server, and every e-mail is written down as suppressed.

    Safe to share between threads.
    """

    def __init__(
        self, db: Database, clock: Clock, gateway: EmailGateway | None, papers: Papers, *, utility: str
    ) -> None:
        self._db = db
        self._clock = clock
        self._gateway = gateway
        self._papers = papers
        self._utility = utility
        self._paused_until: datetime | None = None
        self._lock = threading.Lock()

    def send(self, notice_id: int) -> Outcome:
        """Hand one e-mail over: its document, claim, call, record, each its own step. Running twice is harmless.

        One that is found under way is one whose worker stopped in between: nobody knows whether it went. It is never
        sent again by itself; the console shows it, and a person may.
        """
        paused = self._pause_left()
        if paused > 0:
            return Retry(paused, "the mail server did not answer a moment ago", counts=False)
        attachments = self._attachments(notice_id)
        if not isinstance(attachments, tuple):
            return attachments
        claimed = self._claim(notice_id, attachments)
        if not isinstance(claimed, OutboundEmail):
            return claimed
        assert self._gateway is not None
        # No transaction is open here: a mail server may take half a minute, and a row lock must not.
        assert_outside_transaction()
        try:
            answer: Receipt | PartnerError = self._gateway.send(claimed)
        except PartnerError as error:
            answer = error
        return self._record(notice_id, answer)

    def send_again(self, notice_id: int, *, customer_id: int, by: str) -> None:
        """A person sends one of a customer's e-mails once more: after doubt, a refusal, or when it was too late.

        Raises StateConflict for any other.
        """
        with self._db.begin() as session:
            row = queries.locked(session, notice_id)
            if row is None or row.channel != "email" or row.customer_id != customer_id or row.state not in _MAY_REPEAT:
                raise StateConflict("only an e-mail that failed, or may have, is sent again")
            row.state, row.detail = "queued", f"again, by {by}"[:120]
            row.expires_at = self._clock.now() + EMAILS[row.kind].rule.ttl
            key, body = email_key(row.id), {"notice_id": row.id}
            outbox.stage_again(session, kind="email.send", key=key, body=body, clock=self._clock)

    def take_mail(self, raw: bytes) -> str:
        """Take in an e-mail that came to the address we write from. Returns in a word what it was.

        A report moves its e-mail forward, and marks the address where it says that nothing will ever arrive there.
        The same one again changes nothing.
        """
        match bounces.read(raw):
            case bounces.Bounce() as bounce:
                return self._bounced(bounce)
            case bounces.Stop(address):
                with self._db.begin() as session:
                    row = _address(session, address)
                    row.opted_out_at = row.opted_out_at or self._clock.now()
                return "opted_out"
            case bounces.Nothing(why):
                _log.info("emails.nothing_of_ours", why=why)
                return "nothing"

    def clear_address(self, customer_id: int, *, by: str) -> None:
        """A person has looked: the address may be tried again. Raises StateConflict when it is not marked."""
        with self._db.begin() as session:
            customer = session.get(CustomerRow, customer_id)
            address = (customer.email or "").strip().lower() if customer else ""
            row = session.get(EmailAddressRow, address, with_for_update={"key_share": True})
            if row is None or row.bounced_at is None:
                raise StateConflict("this address is not marked")
            _log.info("emails.address_cleared", by=by, code=row.bounce_code)
            row.bounced_at, row.bounce_code, row.bounce_reason = None, "", ""

    def mailbox(self, customer_id: int, *, limit: int = 20) -> Mailbox | None:
        """What the console shows; None when there is no such customer."""
        with self._db.read() as session:
            customer = session.get(CustomerRow, customer_id)
            if customer is None:
                return None
            known = session.get(EmailAddressRow, (customer.email or "").strip().lower())
            rows = session.scalars(
                select(NoticeRow)
                .where(NoticeRow.customer_id == customer_id, NoticeRow.channel == "email")
                .order_by(NoticeRow.id.desc())
                .limit(limit)
            )
            return Mailbox(
                address=customer.email,
                bounced_at=known.bounced_at if known else None,
                bounce=f"{known.bounce_code} {known.bounce_reason}".strip() if known else "",
                opted_out_at=known.opted_out_at if known else None,
                letters=tuple(
                    Letter(r.id, r.created_at, r.kind, r.subject, r.state, r.detail, r.state in _MAY_REPEAT)
                    for r in rows
                ),
            )

    # -- before the call

    def _attachments(self, notice_id: int) -> tuple[Attachment, ...] | Outcome:
        """Drawn before the claim: a full disk must not leave an e-mail in doubt."""
        with self._db.read() as session:
            row = session.get(NoticeRow, notice_id)
            if row is None or row.channel != "email":
                return Dead("no such e-mail")
            if row.attachment is None or row.state != "queued":
                return ()
            kind, _, subject = row.attachment.partition(":")
        paper = self._papers(kind, subject)
        if paper is None:
            return Dead(f"there is no {kind} {subject}")
        return (paper,)

    def _claim(self, notice_id: int, attachments: tuple[Attachment, ...]) -> OutboundEmail | Outcome:
        with self._db.begin() as session:
            row = queries.locked(session, notice_id)
            assert row is not None
            if row.state == "sending":
                self._doubt(row, "the worker stopped in the middle")
            if row.state == "unknown":
                return Done(NEVER_TWICE)
            if row.state != "queued":
                return Done(f"already {row.state}")
            stopped = self._why_not(session, row)
            if stopped is not None:
                return stopped
            assert self._gateway is not None
            row.state, row.gateway, row.gateway_ref = "sending", self._gateway.name, new_uuid()
            row.attempts += 1
            return OutboundEmail(
                to=row.recipient,
                subject=row.subject,
                text=text_of(row.body, self._utility),
                html=html_of(row.subject, row.body, self._utility, row.language, noted=row.contract_id is not None),
                reference=row.gateway_ref,
                language=row.language,
                attachments=attachments,
                unwanted=EMAILS[row.kind].rule.optional,
            )

    def _why_not(self, session: Session, row: NoticeRow) -> Outcome | None:
        """Whether it has become late, unwanted or untrue since it was staged; None: it may go."""
        now, declared = self._clock.now(), EMAILS.get(row.kind)
        if declared is None:
            return Dead(f"unknown kind {row.kind}")
        if self._gateway is None:
            return _suppress(row, "no mail server is set up")
        if now >= row.expires_at:
            row.state, row.detail = "expired", "too late to be of use"
            return Done("expired")
        known = session.get(EmailAddressRow, row.recipient)
        if known is not None and known.bounced_at is not None:
            return _suppress(row, "nothing arrives at this address")
        if known is not None and known.opted_out_at is not None and declared.rule.optional:
            return _suppress(row, "opted out")
        if declared.rule.owed and row.invoice_id is not None and not _still_owed(session, row.invoice_id):
            return _suppress(row, "not owed any more")
        start = max(row.not_before, rules.earliest(declared.rule, now, row.zone))
        return Later(start, "night at the site") if start > now else None

    # -- after the call

    def _record(self, notice_id: int, answer: Receipt | PartnerError) -> Outcome:
        with self._db.begin() as session:
            row = queries.locked(session, notice_id)
            assert row is not None
            if isinstance(answer, Receipt):
                row.state = rules.further(row.state, "sent")
                row.sent_at, row.detail, row.in_doubt_since = self._clock.now(), "", None
                return Done(f"{answer.gateway} {answer.reference or ''}".strip())
            if row.state != "sending":
                # Our lease had ended, and somebody else put it in doubt: that stays, for it is never sent twice.
                return Done(f"already {row.state}")
            row.detail = f"{answer.code} {answer.detail}".strip()[:120]
            return self._refused(session, row, answer)

    def _refused(self, session: Session, row: NoticeRow, answer: PartnerError) -> Outcome:
        match answer:
            case BadRecipient():
                row.state = "failed"
                self._mark(session, row.recipient, answer.code, answer.detail)
                return Done(f"nothing arrives at this address: {answer.code}")
            case RouteRefused(pause_s=pause_s):
                row.state = "queued"
                self._pause(timedelta(seconds=pause_s))
                _log.error("emails.server_refuses_us", code=answer.code, detail=answer.detail)
                return Retry(_backoff(row.attempts), f"the server refuses us: {answer.code}", counts=False)
            case NotTaken():
                row.state = "queued"
                return Retry(max(answer.after_s, _backoff(row.attempts)), f"not now: {answer.code}", counts=False)
            case PartnerRefused():
                row.state = "failed"
                return Dead(f"refused: {row.detail}")
            case PartnerDown(sent=False):
                row.state = "queued"
                self._pause(_PAUSE)
                return Retry(_backoff(row.attempts), f"not reached: {answer.code}", counts=False)
            case _:
                self._doubt(row, row.detail)
                return Done(NEVER_TWICE)

    def _doubt(self, row: NoticeRow, why: str) -> None:
        row.state, row.detail = "unknown", why[:120]
        row.doubts += 1
        row.in_doubt_since = self._clock.real_now()

    def _pause(self, pause: timedelta) -> None:
        with self._lock:
            self._paused_until = self._clock.real_now() + pause

    def _pause_left(self) -> float:
        with self._lock:
            until = self._paused_until
        return 0.0 if until is None else (until - self._clock.real_now()).total_seconds()

    # -- what comes back

    def _bounced(self, bounce: bounces.Bounce) -> str:
        with self._db.begin() as session:
            row = session.scalars(
                select(NoticeRow)
                .where(NoticeRow.gateway_ref == bounce.reference, NoticeRow.channel == "email")
                .with_for_update(key_share=True)
            ).first()
            if row is None:
                _log.warning("emails.bounce_of_nothing", status=bounce.status)
                return "nothing"
            known = select(DeliveryReportRow.id).where(
                DeliveryReportRow.gateway == row.gateway,
                DeliveryReportRow.gateway_ref == bounce.reference,
                DeliveryReportRow.status == bounce.status,
            )
            if session.scalar(known) is not None:
                return "bounce"
            session.add(
                DeliveryReportRow(
                    gateway=row.gateway or "",
                    gateway_ref=bounce.reference,
                    status=bounce.status,
                    meaning="failed",
                    reason=bounce.why[:60],
                    received_at=self._clock.now(),
                    notice_id=row.id,
                )
            )
            row.state = rules.further(row.state, "failed")
            row.detail, row.in_doubt_since = f"{bounce.status} {bounce.why}"[:120], None
            if bounce.dead_address:
                self._mark(session, row.recipient, bounce.status, bounce.why)
            return "bounce"

    def _mark(self, session: Session, address: str, code: str, why: str) -> None:
        row = _address(session, address)
        row.bounced_at = row.bounced_at or self._clock.now()
        row.bounce_code, row.bounce_reason = code[:24], why[:200]


def _address(session: Session, address: str) -> EmailAddressRow:
    row = session.get(EmailAddressRow, address, with_for_update={"key_share": True})
    if row is None:
        row = EmailAddressRow(address=address[:160])
        session.add(row)
    return row


def _suppress(row: NoticeRow, why: str) -> Done:
    row.state, row.detail = "suppressed", why
    return Done(why)


def _still_owed(session: Session, invoice_id: int) -> bool:
    invoice = session.get(InvoiceRow, invoice_id)
    return invoice is not None and invoice.state == "sent" and invoice.paid_minor < invoice.total_minor


def _backoff(calls: int) -> float:
    return float(min(_BACKOFF_S * 2 ** min(calls, 10), _BACKOFF_CAP_S))
