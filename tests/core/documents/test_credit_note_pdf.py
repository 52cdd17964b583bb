"""The credit note as a reader sees it, and the one that the service makes of the books."""

from __future__ import annotations

from datetime import date
from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfReader

from core.db import Database
from core.documents.credit_note import CreditNoteFacts, render_credit_note
from core.documents.invoice import Office
from core.documents.store import FolderStore
from core.i18n import LANGUAGES
from core.kernel.clock import FixedClock
from core.kernel.money import Money
from core.services.billing import Billing, Line
from core.services.credit_notes import CreditNotes
from core.services.documents import Documents
from tests import town


def cdf(units: int) -> Money:
    return Money.units(units, "CDF")


FACTS = CreditNoteFacts(
    utility="Lampe Électrique du Kasaï",
    number="A2026-KIN-000012",
    issued_on=date(2026, 3, 10),
    name="Établissements Kabeya wa Tshibangu & Fils, Succursale de Mbuji-Mayi",
    address=("7 avenue Kasa-Vubu", "Lemba", "Kinshasa"),
    account="1000000018",
    bill="2026-KIN-000417",
    period="2026-02",
    bill_total=cdf(28_500),
    net=cdf(4_310),
    levies=(("TVA 16 %", cdf(690)),),
    reason="Index mal relevé le 28 février: 12 kWh de trop, vus par l'agent au compteur le 9 mars.",
    office=Office("Agence Kinshasa", "12 avenue du Marché, Kinshasa", "0815 550 000", "Lun-Ven 8h-16h"),
)


def words(content: bytes) -> str:
    return " ".join(page.extract_text() for page in PdfReader(BytesIO(content)).pages).replace("\n", " ")


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_says_what_is_given_back_and_why(language: str) -> None:
    content = render_credit_note(FACTS, language)
    assert content == render_credit_note(FACTS, language)
    text = words(content)
    for part in ("A2026-KIN-000012", "2026-KIN-000417", "5 000 FC", "4 310 FC", "690 FC", "TVA 16 %", "12 kWh de trop"):
        assert part in text, part
    assert len(PdfReader(BytesIO(content)).pages) == 1


def test_it_is_made_of_the_books_once(db: Database, clock: FixedClock, tmp_path: Path) -> None:
    billing = Billing(db, clock)
    with db.begin() as session:
        home = town.home(session, language="en")
    lines = (Line("Energie", cdf(24_000)), Line("TVA 16 %", cdf(4_500), levy="vat"))
    invoice_id = billing.draft_invoice(home.contract.id, period="2026-02", lines=lines)
    billing.validate_invoice(invoice_id)
    billing.send_invoice(invoice_id)
    number = CreditNotes(db, clock).credit(invoice_id, cdf(9_500), reason="Wrong reading", by="jeanne")
    documents = Documents(db, clock, FolderStore(tmp_path), verify_base_url="https://mwolo.test")
    content = documents.credit_note_pdf(number)
    assert content is not None
    text = words(content)
    for part in (number, "Wrong reading", "9 500 FC", "8 000 FC", "1 500 FC", "TVA 16 %", "28 500 FC"):
        assert part in text, part
    assert documents.credit_note_pdf(number) == content
    paper = documents.called("credit_note", number.lower())
    assert paper is not None
    assert paper.name == f"credit-note-{number.lower()}.pdf"
    assert documents.credit_note_pdf("A1") is None
