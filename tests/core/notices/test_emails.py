"""E-mails: staged with their cause, handed over once, and what becomes of those that do not arrive."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from sqlalchemy import select

from core.customers.tables import CustomerRow
from core.db import Database
from core.db.engine import assert_outside_transaction
from core.i18n import LANGUAGES, translate
from core.kernel.clock import WEST, FixedClock
from core.kernel.errors import PartnerDown, PartnerError, PartnerRefused, StateConflict
from core.kernel.money import Money
from core.notices.bounces import Bounce, Nothing, Stop, is_dead, read
from core.notices.emails import EMAILS, sentence
from core.notices.errors import BadRecipient, NotTaken, RouteRefused
from core.notices.letter import html_of
from core.notices.mailing import is_address, stage_email
from core.notices.ports import Attachment, OutboundEmail, Receipt
from core.notices.tables import DeliveryReportRow, EmailAddressRow, NoticeRow
from core.outbox import Dead, Done, Later, Leased, OutboxRow, Outcome, Retry
from core.payments.tables import PaymentRow
from core.services.emails import Emails
from core.settlement.events import CashTaken
from core.settlement.post import post
from mwolo.sandbox.mail import report_of
from tests import town
from workers.jobs.email import handlers

TO = "marie@example.cd"
BLANKS = {"amount": "5 000 FC", "account": "100 000 001 8", "period": "02/2026", "receipt": "R-1",
          "verification": "204 817 365 5", "cut_date": "24/03/2026"}  # fmt: skip


class FakeServer:
    """Answers from a script: an error to raise, or something to do first. Afterwards it takes everything on."""

    name = "smtp"

    def __init__(self, *script: PartnerError | Callable[[], None]) -> None:
        self.script = list(script)
        self.sent: list[OutboundEmail] = []

    def send(self, email: OutboundEmail) -> Receipt:
        assert_outside_transaction()
        self.sent.append(email)
        step = self.script.pop(0) if self.script else None
        if isinstance(step, PartnerError):
            raise step
        if step is not None:
            step()
        return Receipt("smtp", "queued as 1")


class Killed(BaseException):
    """The worker's process is gone."""


def papers(kind: str, subject: str) -> Attachment | None:
    return None if subject == "none" else Attachment(f"{kind}-{subject}.pdf", b"%PDF-1.4 of " + subject.encode())


def service(db: Database, clock: FixedClock, server: FakeServer | None) -> Emails:
    return Emails(db, clock, server, papers, utility="Lampe")


def stage(db: Database, clock: FixedClock, kind: str = "payment.receipt", key: str = "k", **more: object) -> int:
    asked: dict[str, object] = {"recipient": TO, "name": "Marie Mbuyi", "language": "en", "zone": WEST, "paper": "77"}
    with db.begin() as session:
        made = stage_email(session, clock=clock, kind=kind, key=key, blanks=BLANKS, **{**asked, **more})  # type: ignore[arg-type]
    assert made is not None
    return made


def row(db: Database, notice_id: int) -> NoticeRow:
    with db.read() as session:
        return session.get_one(NoticeRow, notice_id)


def run(emails: Emails, notice_id: int, clock: FixedClock) -> Outcome:
    until = clock.real_now() + timedelta(minutes=5)
    return handlers(emails)["email.send"](Leased(1, "email.send", "bulk", "t", {"notice_id": notice_id}, 1, until))


def test_an_email_is_staged_once_with_its_effect(any_db: Database, clock: FixedClock) -> None:
    notice_id = stage(any_db, clock)
    with any_db.begin() as session:
        again = stage_email(
            session, clock=clock, kind="payment.receipt", key="k", recipient=TO, name="x", language="fr",
            blanks=BLANKS, zone=WEST,
        )  # fmt: skip
        assert again is None
        effects = session.scalars(select(OutboxRow)).all()
        assert [(e.kind, e.key, e.queue) for e in effects] == [("email.send", f"email:{notice_id}", "bulk")]
    staged = row(any_db, notice_id)
    assert (staged.channel, staged.subject) == ("email", "Receipt R-1: 5 000 FC for account 100 000 001 8")
    assert staged.body.startswith("Good day Marie Mbuyi,\n\nReceived 5 000 FC")
    assert "attached" in staged.body


def test_it_is_handed_over_once_with_its_pdf(db: Database, clock: FixedClock) -> None:
    server = FakeServer()
    emails, notice_id = service(db, clock, server), stage(db, clock)
    assert run(emails, notice_id, clock) == Done("smtp queued as 1")
    assert run(emails, notice_id, clock) == Done("already sent")
    [sent] = server.sent
    assert (sent.to, sent.attachments[0].name) == (TO, "receipt-77.pdf")
    assert sent.reference == row(db, notice_id).gateway_ref
    for part in ("Good day Marie Mbuyi,", "5 000 FC", "100 000 001 8"):
        assert part in sent.text
        assert part in unescape(sent.html).replace("\xa0", " "), "both say the same"
    assert "5&#160;000&#160;FC" in sent.html, "an amount is not torn apart"


def test_a_worker_that_died_in_the_middle_is_doubt_and_doubt_is_never_sent_again(
    db: Database, clock: FixedClock
) -> None:
    def die() -> None:
        raise Killed

    server = FakeServer(die)
    emails, notice_id = service(db, clock, server), stage(db, clock)
    with pytest.raises(Killed):
        run(emails, notice_id, clock)
    for _ in range(3):
        clock.advance(hours=1)
        assert isinstance(run(emails, notice_id, clock), Done)
    assert len(server.sent) == 1
    assert row(db, notice_id).state == "unknown"


@pytest.mark.parametrize(
    ("answer", "state", "outcome"),
    [
        (PartnerDown("smtp", "timeout", sent=True), "unknown", Done),
        (PartnerDown("smtp", "refused", sent=False), "queued", Retry),
        (NotTaken("smtp", "4.7.1"), "queued", Retry),
        (RouteRefused("smtp", "535", pause_s=600), "queued", Retry),
        (BadRecipient("smtp", "5.1.1", "no such user"), "failed", Done),
        (PartnerRefused("smtp", "5.7.1", "spam"), "failed", Dead),
    ],
)
def test_what_each_answer_means(
    db: Database, clock: FixedClock, answer: PartnerError, state: str, outcome: type
) -> None:
    server = FakeServer(answer)
    emails, notice_id = service(db, clock, server), stage(db, clock)
    assert isinstance(run(emails, notice_id, clock), outcome)
    assert row(db, notice_id).state == state
    clock.advance(hours=2)
    run(emails, notice_id, clock)
    assert len(server.sent) == (2 if outcome is Retry else 1)


def test_a_server_that_does_not_answer_is_left_alone_for_a_while(db: Database, clock: FixedClock) -> None:
    server = FakeServer(PartnerDown("smtp", "refused", sent=False))
    emails = service(db, clock, server)
    first, second = stage(db, clock), stage(db, clock, key="k2")
    run(emails, first, clock)
    assert isinstance(run(emails, second, clock), Retry)
    assert len(server.sent) == 1


def test_an_address_where_nothing_arrives_gets_nothing_more_until_a_person_has_looked(
    db: Database, clock: FixedClock
) -> None:
    server = FakeServer(BadRecipient("smtp", "5.1.1", "no such user"))
    emails = service(db, clock, server)
    with db.begin() as session:
        customer_id = town.customer(session, email=TO).id
    run(emails, stage(db, clock, customer_id=customer_id), clock)
    second = stage(db, clock, key="k2", customer_id=customer_id)
    assert (row(db, second).state, row(db, second).detail) == ("suppressed", "nothing arrives at this address")
    box = emails.mailbox(customer_id)
    assert box is not None
    assert (box.address, box.bounce, len(box.letters)) == (TO, "5.1.1 no such user", 2)
    emails.clear_address(customer_id, by="kabila")
    with pytest.raises(StateConflict):
        emails.clear_address(customer_id, by="kabila")
    third = stage(db, clock, key="k3")
    assert isinstance(run(emails, third, clock), Done)
    assert len(server.sent) == 2


def bounced(db: Database, clock: FixedClock, status: str) -> tuple[Emails, int, bytes]:
    server = FakeServer()
    emails, notice_id = service(db, clock, server), stage(db, clock)
    run(emails, notice_id, clock)
    letter = f"Message-ID: <{server.sent[0].reference}@mwolo.cd>\r\nSubject: x\r\n\r\nbody".encode()
    return emails, notice_id, report_of(letter, "bills@mwolo.cd", TO, status, "mailbox unavailable")


@pytest.mark.parametrize(("status", "dead"), [("5.1.1", True), ("5.2.2", False), ("5.7.1", False), ("5.0.0", True)])
def test_a_report_of_non_delivery_is_recorded_once(
    any_db: Database, clock: FixedClock, status: str, dead: bool
) -> None:
    emails, notice_id, report = bounced(any_db, clock, status)
    assert [emails.take_mail(report) for _ in range(2)] == ["bounce", "bounce"]
    failed = row(any_db, notice_id)
    assert (failed.state, failed.detail) == ("failed", f"{status} 550 {status} mailbox unavailable")
    with any_db.read() as session:
        assert [r.notice_id for r in session.scalars(select(DeliveryReportRow))] == [notice_id]
        known = session.get(EmailAddressRow, TO)
    assert (known is not None and known.bounced_at is not None) == dead


def test_a_report_that_does_not_know_our_reference_marks_nobody(db: Database, clock: FixedClock) -> None:
    emails, notice_id, report = bounced(db, clock, "5.1.1")
    reference = row(db, notice_id).gateway_ref or ""
    forged = report.replace(reference.encode(), b"00000000-0000-4000-8000-000000000000")
    assert emails.take_mail(forged) == "nothing"
    assert row(db, notice_id).state == "sent"


@pytest.mark.parametrize("raw", [b"", b"\x00\xff", b"From: x\r\n\r\nhello", b"Content-Type: multipart/report\r\n\r\n"])
def test_other_mail_is_nothing(db: Database, clock: FixedClock, raw: bytes) -> None:
    assert service(db, clock, FakeServer()).take_mail(raw) == "nothing"


def test_who_answers_stop_gets_no_more_reminders_but_receipts(db: Database, clock: FixedClock) -> None:
    emails = service(db, clock, FakeServer())
    assert emails.take_mail(f"From: Marie <{TO.upper()}>\r\nSubject: Stop svp\r\n\r\n".encode()) == "opted_out"
    assert row(db, stage(db, clock, "dunning.reminder", "a")).state == "suppressed"
    assert row(db, stage(db, clock, "payment.receipt", "b")).state == "queued"
    assert row(db, stage(db, clock, "dunning.warning", "c")).state == "queued"


def test_reminders_wait_for_the_morning_and_receipts_do_not(db: Database) -> None:
    night = FixedClock(datetime(2026, 3, 10, 21, 0, tzinfo=UTC))
    emails = service(db, night, FakeServer())
    reminder, receipt = stage(db, night, "dunning.reminder", "a"), stage(db, night, "payment.receipt", "b")
    assert isinstance(run(emails, reminder, night), Later)
    assert isinstance(run(emails, receipt, night), Done)


def test_too_late_is_expired_and_a_person_may_send_it_again(db: Database, clock: FixedClock) -> None:
    server = FakeServer()
    with db.begin() as session:
        customer_id = town.customer(session, email=TO).id
    emails, notice_id = service(db, clock, server), stage(db, clock, customer_id=customer_id)
    clock.advance(days=4)
    assert run(emails, notice_id, clock) == Done("expired")
    emails.send_again(notice_id, customer_id=customer_id, by="kabila")
    assert isinstance(run(emails, notice_id, clock), Done)
    assert len(server.sent) == 1
    with pytest.raises(StateConflict):
        emails.send_again(notice_id, customer_id=customer_id, by="kabila")


def test_without_a_mail_server_nothing_hangs(db: Database, clock: FixedClock) -> None:
    notice_id = stage(db, clock)
    run(service(db, clock, None), notice_id, clock)
    assert row(db, notice_id).detail == "no mail server is set up"


def test_a_document_that_cannot_be_made_is_a_persons_work(db: Database, clock: FixedClock) -> None:
    server = FakeServer()
    assert isinstance(run(service(db, clock, server), stage(db, clock, paper="none"), clock), Dead)
    assert server.sent == []


def test_a_payment_writes_to_the_holder_too(db: Database, clock: FixedClock) -> None:
    with db.begin() as session:
        home = town.home(session)
        session.get_one(CustomerRow, home.customer.id).email = " Marie@Example.cd "
        paid = PaymentRow(
            id="0f8c3c52-6c8f-4a70-9a64-000000000009", wallet="cash", contract_id=home.contract.id, currency="CDF",
            amount_minor=500_000, received_at=clock.now(), found_by="cash", receipt_number="R9",
            verification_code="2048173655",
        )  # fmt: skip
        session.add(paid)
        session.flush()
        post(
            session,
            CashTaken(
                key="cash:9", cashier="1", contract_id=home.contract.id, payment_id=paid.id,
                amount=Money.units(5_000, "CDF"),
            ),
            clock=clock,
        )  # fmt: skip
    with db.read() as session:
        [told] = session.scalars(select(NoticeRow).where(NoticeRow.channel == "email")).all()
    assert (told.recipient, told.attachment, told.kind) == (TO, f"receipt:{paid.id}", "payment.receipt")
    assert told.payment_id == paid.id


@pytest.mark.parametrize("kind", sorted(EMAILS))
def test_every_email_can_be_written_in_every_language(kind: str) -> None:
    declared = EMAILS[kind]
    blanks = {**BLANKS, "code": "*123#", "due": "1 FC"}
    for language in LANGUAGES:
        subject = translate(declared.subject.body, language, **blanks)
        assert "{" not in subject + translate(sentence(declared, blanks).body, language, **blanks)
        assert len(subject) <= 78, "one line, on every screen"


def test_html_says_nothing_that_was_not_written() -> None:
    page = html_of("A & B", "<b>x</b>\n\nsecond", "Lampe <i>", "fr")
    assert "<b>" not in page
    assert "A &amp; B" in page
    assert "<script" not in page
    assert "src=" not in page


@pytest.mark.parametrize(
    ("text", "good"),
    [("a@b.cd", True), ("a b@c.cd", False), ("a@b", False), ("a@b.cd\r\nBcc: x@y.z", False), ("", False),
     ("x" * 65 + "@b.cd", False), ("a.b.c@d-e.cd", True), ("a..b@c.cd", False), (".a@b.cd", False), ("a.@b.cd", False),
     ("x" * 63 + ".y@b.cd", False)],
)  # fmt: skip
def test_addresses(text: str, good: bool) -> None:
    assert is_address(text) == good


def test_which_refusals_end_an_address() -> None:
    assert [is_dead(code) for code in ("550", "552", "5.1.1", "5.2.1", "5.2.2", "5.7.26", "4.2.2")] == [
        True, False, True, True, False, False, False,
    ]  # fmt: skip
    letter = b"Message-ID: <0f8c3c52-6c8f-4a70-9a64-000000000001@mwolo.cd>\r\n\r\n"
    report = report_of(letter, "b@mwolo.cd", TO, "5.1.1", "no")
    assert isinstance(read(report), Bounce)
    assert isinstance(read(report.replace(b"Action: failed", b"Action: delayed")), Nothing)
    assert read(b"From: X <x@y.cd>\r\nSubject: ARRET\r\n\r\n") == Stop("x@y.cd")


def test_a_report_that_brings_the_whole_letter_along() -> None:
    """As Exim and Exchange write them: capitals, folded lines, our letter whole instead of its headers."""
    raw = (
        b"From: <>\r\nMessage-ID: <11111111-2222-4333-8444-555555555555@mx.example.cd>\r\n"
        b'Content-Type: multipart/report;\r\n\treport-type="delivery-status"; boundary=b\r\n\r\n'
        b"--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n"
        b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns;mx.example.cd\r\n\r\n"
        b"Action: Failed\r\nFinal-Recipient: RFC822;Marie@Example.cd\r\nStatus: 5.1.10\r\n"
        b"Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound;\r\n Recipient not found\r\n\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\n"
        b"Message-ID:\r\n <0f8c3c52-6c8f-4a70-9a64-000000000001@mwolo.cd>\r\nSubject: x\r\n\r\nbody\r\n--b--\r\n"
    )
    found = read(raw)
    assert isinstance(found, Bounce)
    assert (found.reference, found.recipient, found.status) == (
        "0f8c3c52-6c8f-4a70-9a64-000000000001", TO, "5.1.10",
    )  # fmt: skip
    assert found.why == "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found"
    assert found.dead_address


def test_what_matters_stands_out_and_why_you_stands_small() -> None:
    body = "Good day,\n\nReceived 1 028 500 FC, and 12,50 USD. Dial *123#. Code 204 817 365 5.\n\nWhy you."
    page = html_of("S", body, "Lampe", "en", noted=True)
    for strong in ("1&#160;028&#160;500&#160;FC", "12,50&#160;USD", "*123#"):
        assert f"<b>{strong}</b>" in page
    assert page.count("<b>") == 3
    assert "Why you.<br>Lampe" in page
    assert ">Why you.</p>" in html_of("S", body, "Lampe", "en")
