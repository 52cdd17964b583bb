"""Receipts made once, kept, given out again; and what anybody may learn from a code."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfReader
from sqlalchemy import select

from core.billing.tables import InvoiceRow
from core.db import Database
from core.documents.payslip import PayLine, PayslipFacts
from core.documents.store import DocumentMissing, FolderStore
from core.documents.tables import DocumentRow
from core.kernel.clock import FixedClock
from core.kernel.digits import with_check
from core.kernel.money import Money
from core.outbox import Dead, Done, Leased, OutboxRow, Retry
from core.payments.tables import PaymentRow
from core.services.billing import Billing, Line
from core.services.documents import Documents, NotFound, Verified, VerifiedBill
from core.settlement.events import InvoiceSent, WalletMoney
from core.settlement.post import post
from tests import town
from workers.jobs import documents as jobs

CODE = with_check("204817365")


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "documents")


@pytest.fixture
def documents(db: Database, clock: FixedClock, store: FolderStore) -> Documents:
    return Documents(db, clock, store, verify_base_url="https://mwolo.test/", utility="Lampe")


def paid(db: Database, clock: FixedClock, *, amount: int = 30_000) -> str:
    """A sent invoice of 28 500 FC and a payment for it, through the one door."""
    with db.begin() as session:
        home = town.home(session)
        invoice = town.invoice(session, home.contract)
        invoice.state, invoice.sent_on, invoice.sent_at = "sent", clock.now().date(), clock.now()
        session.flush()
        post(session, InvoiceSent(invoice_id=invoice.id, key=f"invoice:{invoice.id}"), clock=clock)
        payment = PaymentRow(
            id="0f8c3c52-6c8f-4a70-9a64-000000000001",
            wallet="vodacom",
            provider_txn_id="CI260310.0912.A00417",
            contract_id=home.contract.id,
            currency="CDF",
            amount_minor=amount * 100,
            payer_phone=home.phone,
            received_at=clock.now(),
            found_by="callback",
            receipt_number="R260310ABCDE",
            verification_code=CODE,
        )
        session.add(payment)
        session.flush()
        post(
            session,
            WalletMoney(
                key=f"payment:{payment.id}",
                wallet="vodacom",
                contract_id=home.contract.id,
                payment_id=payment.id,
                amount=Money.units(amount, "CDF"),
            ),
            clock=clock,
        )
        return payment.id


def test_a_receipt_is_made_once(db: Database, clock: FixedClock, documents: Documents, store: FolderStore) -> None:
    payment_id = paid(db, clock)
    made = documents.make_receipt(payment_id)
    assert made
    clock.advance(days=400)
    assert documents.make_receipt(payment_id) == made
    assert store.get(made.storage_key) == documents.receipt_pdf(payment_id)
    with db.read() as session:
        assert len(session.scalars(select(DocumentRow)).all()) == 1


def test_a_receipt_made_later_says_the_same(db: Database, clock: FixedClock, tmp_path: Path) -> None:
    """What is due is what was due then: an invoice sent since does not change the paper."""
    payment_id = paid(db, clock, amount=20_000)
    stores = [FolderStore(tmp_path / name) for name in ("now", "later")]
    first, second = (Documents(db, clock, s, verify_base_url="https://mwolo.test", utility="Lampe") for s in stores)
    before = first.receipt_pdf(payment_id)
    clock.advance(days=30)
    with db.begin() as session:
        row = session.scalars(select(DocumentRow)).one()
        contract_id = session.get_one(PaymentRow, payment_id).contract_id
        assert contract_id
        home_contract = session.get_one(town.ContractRow, contract_id)
        invoice = town.invoice(session, home_contract, period="2026-03")
        invoice.state, invoice.sent_on, invoice.sent_at = "sent", clock.now().date(), clock.now()
        session.flush()
        post(session, InvoiceSent(invoice_id=invoice.id, key="invoice:later"), clock=clock)
        session.delete(row)
    assert second.receipt_pdf(payment_id) == before


def test_a_lost_or_altered_file_is_made_again(
    db: Database, clock: FixedClock, documents: Documents, tmp_path: Path
) -> None:
    payment_id = paid(db, clock)
    before = documents.receipt_pdf(payment_id)
    [file] = (tmp_path / "documents").rglob("*.pdf")
    file.write_bytes(b"%PDF-1.4 30 000 000 FC")
    assert documents.receipt_pdf(payment_id) == before
    file.unlink()
    assert documents.receipt_pdf(payment_id) == before


def test_no_receipt_without_a_placed_payment(db: Database, clock: FixedClock, documents: Documents) -> None:
    payment_id = paid(db, clock)
    assert documents.make_receipt("nobody") is None
    with db.begin() as session:
        session.add(
            PaymentRow(
                id="suspense", wallet="vodacom", currency="CDF", amount_minor=100, received_at=clock.now(),
                found_by="callback", receipt_number="R0", verification_code=with_check("100000000"), in_suspense=True,
            )
        )  # fmt: skip
    assert documents.make_receipt("suspense") is None
    assert documents.make_receipt(payment_id)


def test_a_code_proves_amount_day_account_and_number_and_nothing_else(
    db: Database, clock: FixedClock, documents: Documents
) -> None:
    paid(db, clock)
    for typed in (CODE, f"{CODE[:3]} {CODE[3:6]} {CODE[6:]}", f" {CODE}\n"):
        assert documents.verify(typed) == Verified(
            Money.units(30_000, "CDF"), date(2026, 3, 10), "*** *** 001 8", "R260310ABCDE", None
        )


def test_a_payment_taken_back_says_so(db: Database, clock: FixedClock, documents: Documents) -> None:
    payment_id = paid(db, clock)
    with db.begin() as session:
        session.get_one(PaymentRow, payment_id).reversed_at = clock.now() + timedelta(days=2)
    found = documents.verify(CODE)
    assert isinstance(found, Verified)
    assert found.reversed_on == date(2026, 3, 12)


@pytest.mark.parametrize(
    ("typed", "mistyped"),
    [(with_check("999999999"), False), (CODE[:-1] + str((int(CODE[-1]) + 1) % 10), True), ("", True), ("x" * 500, True),
     ("\x00", True), ("12345", True)],
)  # fmt: skip
def test_other_codes_prove_nothing(documents: Documents, typed: str, mistyped: bool) -> None:
    assert documents.verify(typed) == NotFound(mistyped)


@pytest.mark.parametrize(
    "key", ["../x.pdf", "/etc/passwd", "a/../b", "A.pdf", "", "a//b", ".hidden", "a\x00b", "a" * 300]
)
def test_the_folder_store_stays_in_its_folder(store: FolderStore, key: str) -> None:
    with pytest.raises(ValueError):
        store.put(key, b"x")
    with pytest.raises(ValueError):
        store.get(key)


def test_the_folder_store_keeps_whole_files_only(store: FolderStore, tmp_path: Path) -> None:
    with pytest.raises(DocumentMissing):
        store.get("receipt/a.pdf")
    store.put("receipt/a.pdf", b"one")
    store.put("receipt/a.pdf", b"two")
    assert store.get("receipt/a.pdf") == b"two"
    assert [p.name for p in (tmp_path / "documents" / "receipt").iterdir()] == ["a.pdf"], "no scratch file is left"


def leased(body: dict[str, object], clock: FixedClock) -> Leased:
    return Leased(1, "document.receipt", "bulk", "t", body, 1, clock.real_now() + timedelta(minutes=1))


def test_the_job_makes_the_receipt_and_names_what_it_cannot_do(
    db: Database, clock: FixedClock, documents: Documents, tmp_path: Path
) -> None:
    run = jobs.handlers(documents)["document.receipt"]
    payment_id = paid(db, clock)
    assert isinstance(run(leased({"payment_id": payment_id}, clock)), Done)
    assert isinstance(run(leased({"payment_id": payment_id}, clock)), Done)
    assert isinstance(run(leased({"payment_id": "nobody"}, clock)), Dead)
    assert isinstance(run(leased({}, clock)), Dead)


def test_a_disk_that_is_full_is_tried_again(db: Database, clock: FixedClock) -> None:
    class Full(FolderStore):
        def put(self, key: str, content: bytes) -> None:
            raise OSError(28, "No space left on device")

    payment_id = paid(db, clock)
    service = Documents(db, clock, Full("nowhere"), verify_base_url="https://mwolo.test")
    assert isinstance(jobs.handlers(service)["document.receipt"](leased({"payment_id": payment_id}, clock)), Retry)


def test_receipts_on_both_databases(any_db: Database, clock: FixedClock, store: FolderStore) -> None:
    service = Documents(any_db, clock, store, verify_base_url="https://mwolo.test")
    payment_id = paid(any_db, clock)
    made = service.make_receipt(payment_id)
    assert made == service.make_receipt(payment_id)
    assert isinstance(service.verify(CODE), Verified)


def billed(db: Database, clock: FixedClock, *, validate: bool = True) -> int:
    billing = Billing(db, clock)
    with db.begin() as session:
        home = town.home(session)
        contract_id = home.contract.id
    lines = [
        Line("Energie", Money.units(24_569, "CDF"), "140 kWh"),
        Line("TVA 16 %", Money.units(3_931, "CDF"), levy="vat"),
    ]
    invoice_id = billing.draft_invoice(contract_id, period="2026-02", lines=lines)
    if validate:
        billing.validate_invoice(invoice_id)
    return invoice_id


def test_a_bill_is_made_once_and_anybody_can_check_it(any_db: Database, clock: FixedClock, store: FolderStore) -> None:
    documents = Documents(any_db, clock, store, verify_base_url="https://mwolo.test/", short_code="*777#")
    invoice_id = billed(any_db, clock)
    with any_db.read() as session:
        [errand] = session.scalars(select(OutboxRow).where(OutboxRow.kind == "document.invoice")).all()
    run = jobs.handlers(documents)["document.invoice"]
    assert isinstance(run(leased(errand.body, clock)), Done)
    pdf = documents.invoice_pdf(invoice_id)
    assert pdf is not None
    assert isinstance(run(leased(errand.body, clock)), Done)
    with any_db.read() as session:
        [row] = session.scalars(select(DocumentRow)).all()
    assert row.code
    assert (row.kind, row.subject) == ("invoice", str(invoice_id))
    text = PdfReader(BytesIO(pdf)).pages[0].extract_text()
    assert "28 500 FC" in text
    assert "*777#" in text
    assert documents.verify(row.code) == VerifiedBill(
        Money.units(28_500, "CDF"), date(2026, 3, 10), "*** *** 001 8", _number(any_db, invoice_id), cancelled=False
    )
    store.put(row.storage_key, b"altered")
    assert documents.invoice_pdf(invoice_id) == pdf, "the same code, the same bytes"
    Billing(any_db, clock).cancel_invoice(invoice_id, reason="wrong meter")
    found = documents.verify(row.code)
    assert isinstance(found, VerifiedBill)
    assert found.cancelled
    assert documents.invoice_pdf(invoice_id) != pdf, "and its paper says so"


def _number(db: Database, invoice_id: int) -> str:
    with db.read() as session:
        return session.get_one(InvoiceRow, invoice_id).number


def test_a_draft_is_drawn_and_not_kept(db: Database, clock: FixedClock, documents: Documents, tmp_path: Path) -> None:
    invoice_id = billed(db, clock, validate=False)
    assert documents.invoice_pdf(invoice_id)
    assert documents.make("invoice", str(invoice_id)) is None
    assert isinstance(jobs.handlers(documents)["document.invoice"](leased({"invoice_id": invoice_id}, clock)), Done)
    assert not list(tmp_path.rglob("*.pdf"))
    for nobody in ("0", "999", "x", ""):
        assert documents.pdf("invoice", nobody) is None
    assert isinstance(jobs.handlers(documents)["document.invoice"](leased({"invoice_id": 999}, clock)), Dead)


def test_payslips_come_from_whoever_knows_them(db: Database, clock: FixedClock, store: FolderStore) -> None:
    slip = PayslipFacts(
        "x", "P-1", "2026-02", date(2026, 2, 27), "Ilunga", "E-1", "Agent", "Kinshasa",
        (PayLine("Salaire", Money.units(650_000, "CDF")),), (), "CDF",
    )  # fmt: skip
    known = {"closed": (slip, "fr"), "open": (replace(slip, closed_on=None), "fr")}
    documents = Documents(
        db, clock, store, verify_base_url="https://mwolo.test", utility="Lampe", payslips=lambda _, i: known.get(i)
    )
    run = jobs.handlers(documents)["document.payslip"]
    assert isinstance(run(leased({"payslip_id": "closed"}, clock)), Done)
    assert documents.payslip_pdf("closed") == documents.payslip_pdf("closed")
    assert documents.payslip_pdf("open")
    assert documents.payslip_pdf("nobody") is None
    assert documents.make("payslip", "open") is None
    assert isinstance(run(leased({"payslip_id": "nobody"}, clock)), Dead)
    paper = documents.paper("payslip", "closed")
    assert paper is not None
    assert paper.name == "payslip-p-1.pdf"
    assert documents.paper("photo", "closed") is None
