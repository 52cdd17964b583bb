"""The bill and the payslip as a reader sees them: words, sums, the square, marks, and the longest values."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from io import BytesIO

import pytest
import zxingcpp
from PIL import Image, ImageDraw
from pypdf import PdfReader

from core.documents.bills import figure
from core.documents.drawing import wrapped
from core.documents.invoice import Before, BillLine, InvoiceFacts, Measured, Office, render_invoice
from core.documents.payslip import PayLine, PayslipFacts, render_payslip
from core.documents.receipt import render_receipt
from core.i18n import LANGUAGES
from core.kernel.money import Money
from tests.core.documents.test_receipt_pdf import FACTS as RECEIPT

URL = "https://mwolo.test/verify/2048173655"


def cdf(units: int) -> Money:
    return Money.units(units, "CDF")


BILL = InvoiceFacts(
    utility="Lampe Électrique du Kasaï",
    number="2026-KIN-000417",
    code="2048173655",
    mark="",
    period="2026-02",
    issued_on=date(2026, 3, 1),
    name="Mbuyi Kalala Marie",
    address=("7 avenue Kasa-Vubu", "Lemba", "Kinshasa"),
    account="1000000018",
    meter="MW-0000417",
    currency="CDF",
    lines=(
        BillLine("Énergie, tranche sociale", cdf(4_250), "50 kWh", "85"),
        BillLine("Énergie, tranche 2", cdf(10_665), "90 kWh", "118,5"),
        BillLine("Redevance fixe", cdf(1_500), "1", "1 500"),
        BillLine("TVA 16 %", cdf(2_626), is_tax=True),
        BillLine("Éclairage public 2 %", cdf(328), is_tax=True),
    ),
    short_code="*123#",
    office=Office("Agence Kinshasa", "12 avenue du Marché, Kinshasa", "+243815550000", "Lun-Ven 8h-16h"),
    verify_url=URL,
    days=(date(2026, 2, 1), date(2026, 2, 28)),
    measured=Measured("MW-0000417", date(2026, 1, 31), date(2026, 2, 28), 12_345_600, 12_485_600),
    before=Before("2026-01", cdf(16_200), ("3 jours de moins : -1 540 FC", "Nouveau prix : +4 709 FC")),
)
SLIP = PayslipFacts(
    utility="Lampe Électrique du Kasaï",
    number="P-2026-02-0017",
    period="2026-02",
    closed_on=date(2026, 2, 27),
    name="Ilunga Kabongo",
    staff_number="E-0017",
    role="Agent de terrain",
    agency="Lubumbashi",
    earnings=(PayLine("Salaire de base", cdf(650_000)), PayLine("Commission", cdf(126_000), "3 % de 4 200 000 FC")),
    deductions=(PayLine("INSS", cdf(42_700), "5 %"), PayLine("IPR", cdf(61_300))),
    currency="CDF",
    paid_by="M-Pesa 081***0001",
    year_to_date=cdf(1_390_000),
)


def pages_of(pdf: bytes) -> list[str]:
    return [" ".join(page.extract_text().split()) for page in PdfReader(BytesIO(pdf)).pages]


def text_of(pdf: bytes) -> str:
    return " ".join(pages_of(pdf))


def square_on(pdf: bytes) -> str:
    """What a phone reads in the square, from the very rectangles drawn on the last page, 6 pixels a cell."""
    content = PdfReader(BytesIO(pdf)).pages[-1].get_contents()
    assert content is not None
    cells = [
        [float(n) for n in found]
        for found in re.findall(rb"([\d.]+) ([\d.]+) ([\d.]+) ([\d.]+) re(?! f)", content.get_data())
    ]
    side = min(cell[3] for cell in cells)
    small = [cell for cell in cells if abs(cell[3] - side) < 0.01]
    left, bottom = min(c[0] for c in small), min(c[1] for c in small)
    size = round((max(c[0] + c[2] for c in small) - left) / side)
    picture = Image.new("L", ((size + 8) * 6,) * 2, 255)
    draw = ImageDraw.Draw(picture)
    for x, y, width, _ in small:
        column, row = round((x - left) / side) + 4, size - 1 - round((y - bottom) / side) + 4
        draw.rectangle((column * 6, row * 6, (column + round(width / side)) * 6 - 1, row * 6 + 5), fill=0)
    found = zxingcpp.read_barcode(picture)
    assert found is not None, "no square that a phone could read"
    return str(found.text)


def test_everything_that_makes_up_the_bill_stands_on_it() -> None:
    text = text_of(render_invoice(BILL, "en"))
    for part in (
        BILL.utility, "Electricity bill of 02/2026", "2026-KIN-000417", "01/03/2026", "100 000 001 8", "MW-0000417",
        "Mbuyi Kalala Marie", "7 avenue Kasa-Vubu", "01/02/2026 - 28/02/2026", "50 kWh", "118,5", "10 665 FC",
        "Without taxes 16 415 FC", "TVA 16 %", "2 626 FC", "19 369 FC", "dial *123#", "12 345,6 kWh", "12 485,6 kWh",
        "140 kWh", "01/2026 16 200 FC", "Difference: +3 169 FC", "3 jours de moins", "204 817 365 5",
        "mwolo.test/verify/", "Agence Kinshasa", "Lun-Ven 8h-16h",
    ):  # fmt: skip
        assert part in text, part
    assert text.count("19 369 FC") == 2, "in the head and under the lines"


def test_the_squares_hold_the_address() -> None:
    assert square_on(render_invoice(BILL, "fr")) == URL
    assert square_on(render_receipt(RECEIPT, "fr")) == URL


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_same_paper_is_the_same_bytes(language: str) -> None:
    for render, facts in ((render_invoice, BILL), (render_payslip, SLIP)):
        first = render(facts, language)  # type: ignore[operator]
        assert first == render(facts, language)  # type: ignore[operator]
        assert len(pages_of(first)) == 1
        assert "{" not in text_of(first), "no blank is left"
        assert len(first) < 40_000


def test_what_is_no_bill_is_marked_and_has_no_square() -> None:
    draft = text_of(render_invoice(replace(BILL, mark="draft", code="", number=""), "en"))
    assert "DRAFT" in draft
    assert "verify" not in draft
    assert "CANCELLED" in text_of(render_invoice(replace(BILL, mark="cancelled", code=""), "en"))
    assert "DRAFT" not in text_of(render_invoice(BILL, "en"))


def test_an_estimate_says_so() -> None:
    assert BILL.measured
    text = text_of(render_invoice(replace(BILL, measured=replace(BILL.measured, estimated=True)), "en"))
    assert "The second reading is an estimate" in text


def test_a_plain_bill_needs_no_readings_and_no_bill_before() -> None:
    flat = replace(BILL, measured=None, before=None, days=None, lines=(BillLine("Forfait", cdf(10_000)),))
    text = text_of(render_invoice(flat, "en"))
    assert "10 000 FC" in text
    assert "Your meter" not in text
    assert "Without taxes" not in text


def test_the_longest_bill_goes_on_and_loses_nothing() -> None:
    lines = tuple(
        BillLine(
            f"Énergie, tranche {n} (01/02/2026 - 14/02/2026) période exceptionnelle", cdf(123_456_000 + n), "1 kWh"
        )
        for n in range(1, 61)
    )
    long = replace(
        BILL, lines=lines, name="Etablissements Kabasele Tshimanga wa Mukendi et Fils, Succession Ngalula " * 2,
        utility="Société Nationale d'Électrification Rurale du Haut-Katanga et du Lualaba Oriental",
    )  # fmt: skip
    pdf = render_invoice(long, "lua")
    pages = pages_of(pdf)
    assert len(pages) == 3
    text = " ".join(pages)
    for line in lines:
        assert f"tranche {line.label.split()[2]} " in text
        assert line.amount.text in text
    assert long.total.text in text
    assert all("2026-KIN-000417" in page for page in pages), "each page says whose it is"
    assert square_on(pdf) == URL


def test_nothing_is_drawn_outside_the_page_or_over_the_foot() -> None:
    for count in range(1, 30):
        lines = tuple(BillLine(f"Ligne {n}", cdf(n)) for n in range(1, count + 1))
        for page in PdfReader(BytesIO(render_invoice(replace(BILL, lines=lines), "fr"))).pages:
            placed: list[tuple[float, str]] = []

            def note(text: str, _cm: object, tm: list[float], *_: object, to: list[tuple[float, str]] = placed) -> None:
                if text.strip():
                    to.append((tm[5], text.strip()))

            page.extract_text(visitor_text=note)
            assert min(y for y, _ in placed) > 20
            foot = max((y for y, text in placed if "Agence" in text), default=0)
            beside = [text for y, text in placed if y < foot - 60]
            assert not [text for text in beside if text.startswith(("Ligne", "TVA", "3 jours"))], count


def test_a_payslip_adds_up() -> None:
    text = text_of(render_payslip(SLIP, "en"))
    for part in (
        "Payslip of 02/2026", "P-2026-02-0017", "Ilunga Kabongo", "E-0017", "Agent de terrain", "Lubumbashi",
        "M-Pesa 081***0001", "Gross 776 000 FC", "3 % de 4 200 000 FC", "Deducted 104 000 FC", "672 000 FC",
        "1 390 000 FC", "27/02/2026",
    ):  # fmt: skip
        assert part in text, part
    assert (SLIP.gross, SLIP.deducted, SLIP.net) == (cdf(776_000), cdf(104_000), cdf(672_000))
    assert "DRAFT" not in text
    assert "DRAFT" in text_of(render_payslip(replace(SLIP, closed_on=None), "en"))


def test_a_long_payslip_goes_on() -> None:
    long = replace(SLIP, earnings=SLIP.earnings * 20, deductions=SLIP.deductions * 15)
    pdf = render_payslip(long, "fr")
    assert len(pages_of(pdf)) == 3
    assert long.net.text in text_of(pdf)


def test_the_letters_are_in_the_file_cut_to_what_is_used() -> None:
    named = render_invoice(replace(BILL, name="Ŋgɔtɔ Ɛlikya"), "fr")
    assert "Ŋgɔtɔ Ɛlikya" in text_of(named)
    assert named.count(b"/FontFile2") == 2
    assert b"Helvetica" not in named
    assert len(named) < 60_000


def test_a_word_wider_than_the_room_stands_alone() -> None:
    assert wrapped("un Rijksluchtvaartdienstgebouwencomplexbeheerder deux", "Helvetica", 10, 60) == [
        "un", "Rijksluchtvaartdienstgebouwencomplexbeheerder", "deux",
    ]  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_reader_is_told_the_language_and_the_title(language: str) -> None:
    for content in (render_invoice(BILL, language), render_payslip(SLIP, language), render_receipt(RECEIPT, language)):
        reader = PdfReader(BytesIO(content))
        assert reader.root_object["/Lang"] == language
        about = reader.metadata
        assert about is not None
        assert about.title == about.subject
        assert about.author
        assert len(content) < 40_000


def test_nobody_is_asked_to_pay_what_is_no_bill() -> None:
    for mark, words in (("draft", "Nothing is to be paid yet"), ("cancelled", "Do not pay it")):
        facts = replace(BILL, mark=mark, number="" if mark == "draft" else BILL.number, code="")
        text = PdfReader(BytesIO(render_invoice(facts, "en"))).pages[0].extract_text()
        assert words in text.replace("\n", " ")
        assert "*123#" not in text


def test_pages_after_the_first_are_numbered() -> None:
    many = replace(BILL, lines=tuple(BillLine(f"Line {n}", cdf(100)) for n in range(60)))
    pages = PdfReader(BytesIO(render_invoice(many, "en"))).pages
    assert [f"Page {n}" in page.extract_text() for n, page in enumerate(pages, start=1)] == [False] + [True] * (
        len(pages) - 1
    )
    assert len(pages) >= 2


@pytest.mark.parametrize(
    ("kept", "shown"),
    [("1234 kWh", "1 234 kWh"), ("16042.5 kWh", "16 042,5 kWh"), ("0.10", "0,10"), ("1", "1"), ("30 jours", "30 jours"),
     ("", ""), ("forfait", "forfait")],
)  # fmt: skip
def test_figures_are_written_the_way_of_the_country(kept: str, shown: str) -> None:
    assert figure(kept) == shown
