"""The box's mail server, spoken to by the product's own adapter; a bill on its way from the books to a mailbox."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfReader
from sqlalchemy import select

from channels.email.smtp import Smtp, SmtpConfig
from core.customers.tables import CustomerRow
from core.db import Database
from core.documents.store import FolderStore
from core.kernel.clock import FixedClock
from core.kernel.errors import PartnerDown
from core.kernel.money import Money
from core.notices.bounces import Bounce, read
from core.notices.errors import BadRecipient, NotTaken
from core.notices.ports import Attachment, OutboundEmail
from core.notices.tables import EmailAddressRow, NoticeRow
from core.outbox import Done
from core.services.billing import Billing, Line
from core.services.documents import Documents
from core.services.emails import Emails
from mwolo.sandbox.app import sandbox_of
from tests import town
from tests.mwolo.sandbox.box_rig import Box, Product, until

TO = "marie@example.cd"
EMAIL = OutboundEmail(
    TO, "Facture", "Bonjour\n.\n", "<p>Bonjour</p>", "0f8c3c52-6c8f-4a70-9a64-000000000001",
    attachments=(Attachment("a.pdf", b"%PDF-1.4"),),
)  # fmt: skip


@pytest.fixture
def smtp(box: Box) -> Smtp:
    return Smtp(SmtpConfig("127.0.0.1", "Mwolo <bills@mwolo.cd>", sandbox_of(box.app).mail.serve(), "none"))


def test_a_letter_lies_in_its_mailbox(box: Box, smtp: Smtp) -> None:
    smtp.send(EMAIL)
    [letter] = box.get("mail?to=MARIE@example.cd")
    assert (letter["subject"], letter["text"].replace("\r", "")) == ("Facture", "Bonjour\n.\n")
    assert (letter["envelope_from"], letter["status"]) == ("bills@mwolo.cd", "arrived")
    assert letter["attachments"] == [{"name": "a.pdf", "bytes": 8}]
    client, where = box.app.test_client(), f"/sandbox/api/mail/{letter['id']}"
    assert client.get(f"{where}/attachments/0").data == b"%PDF-1.4"
    assert client.get(f"{where}/attachments/1").status_code == 404
    assert b"Message-ID" in client.get(f"{where}/raw").data
    assert "Bonjour" in client.get(f"/sandbox/mail?to={TO}").text
    assert box.get("mail?to=other@example.cd") == []


def test_its_faults(box: Box, smtp: Smtp) -> None:
    for fault, error in (("mail_refused", BadRecipient), ("mail_later", NotTaken), ("mail_lost_answer", PartnerDown)):
        box.fault("email", fault, operation=TO)
        with pytest.raises(error) as no:
            smtp.send(EMAIL)
        assert not isinstance(no.value, PartnerDown) or no.value.sent
    assert len(box.get("mail")) == 1, "the one whose answer was lost had been taken on"
    box.fault("email", "mail_refused", operation="other@example.cd")
    smtp.send(EMAIL)


def bill(db: Database, clock: FixedClock) -> tuple[int, int]:
    """A bill that is sent to a customer with an address: (invoice, its e-mail)."""
    billing = Billing(db, clock)
    with db.begin() as session:
        home = town.home(session)
        session.get_one(CustomerRow, home.customer.id).email = TO
        contract_id = home.contract.id
    lines = [
        Line("Energie", Money.units(24_569, "CDF"), "140 kWh"),
        Line("TVA 16 %", Money.units(3_931, "CDF"), "1", "vat"),
    ]
    invoice_id = billing.draft_invoice(contract_id, period="2026-02", lines=lines)
    billing.validate_invoice(invoice_id)
    billing.send_invoice(invoice_id)
    with db.read() as session:
        [notice_id] = session.scalars(select(NoticeRow.id).where(NoticeRow.channel == "email")).all()
    return invoice_id, notice_id


def test_a_bill_goes_out_and_what_comes_back_is_recorded(
    box: Box, smtp: Smtp, product: Product, db: Database, clock: FixedClock, tmp_path: Path
) -> None:
    documents = Documents(db, clock, FolderStore(tmp_path / "papers"), verify_base_url="https://mwolo.test")
    emails = Emails(db, clock, smtp, documents.paper, utility="Lampe")
    invoice_id, notice_id = bill(db, clock)
    box.fault("email", "mail_bounced", operation=TO, status="5.1.1")
    assert isinstance(emails.send(notice_id), Done)
    [letter] = box.get("mail")
    content = box.app.test_client().get(f"/sandbox/api/mail/{letter['id']}/attachments/0").data
    assert content == documents.invoice_pdf(invoice_id)
    text = PdfReader(BytesIO(content)).pages[0].extract_text()
    assert "28 500 FC" in text
    assert letter["attachments"][0]["name"].startswith("invoice-2026-")
    [report] = until(lambda: product.at("/email/s/inbound"), "a report of non-delivery")
    assert isinstance(read(report.body), Bounce)
    assert emails.take_mail(report.body) == "bounce"
    with db.read() as session:
        assert session.get_one(NoticeRow, notice_id).state == "failed"
        assert session.get_one(EmailAddressRow, TO).bounced_at is not None


def test_a_reader_answers_stop(box: Box, smtp: Smtp, product: Product) -> None:
    smtp.send(EMAIL)
    [letter] = box.get("mail")
    box.post(f"mail/{letter['id']}/answer", {"subject": "STOP"})
    [answer] = until(lambda: product.at("/email/s/inbound"))
    assert b"Subject: STOP" in answer.body
