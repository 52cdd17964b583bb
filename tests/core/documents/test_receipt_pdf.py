"""The receipt as a reader sees it: what stands on it, the square, the same bytes twice."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO

import pytest
import segno
from pypdf import PdfReader

from core.documents.receipt import Placed, ReceiptFacts, render_receipt
from core.i18n import LANGUAGES
from core.kernel.clock import EAST, WEST
from core.kernel.money import Money

URL = "https://mwolo.test/verify/2048173655"
FACTS = ReceiptFacts(
    utility="Lampe Électrique du Kasaï",
    number="R260310ABCDE",
    code="2048173655",
    at=datetime(2026, 3, 10, 22, 30, tzinfo=UTC),
    zone=WEST,
    amount=Money.units(30_000, "CDF"),
    account="1000000018",
    payer="081***0001",
    wallet="M-Pesa",
    provider_txn_id="CI260310.0912.A00417",
    placed=(Placed("T-000001", "2026-02", Money.units(28_500, "CDF")),),
    to_credit=Money.units(1_500, "CDF"),
    due=Money.units(0, "CDF"),
    credit=Money.units(1_500, "CDF"),
    verify_url=URL,
)


def text_of(pdf: bytes) -> str:
    return " ".join(PdfReader(BytesIO(pdf)).pages[0].extract_text().split())


def test_everything_that_proves_the_payment_stands_on_it() -> None:
    text = text_of(render_receipt(FACTS, "en"))
    for part in (
        FACTS.utility, "30 000 FC", "R260310ABCDE", "100 000 001 8", "081***0001", "M-Pesa", "CI260310.0912.A00417",
        "Invoice T-000001 of 02/2026", "28 500 FC", "1 500 FC", "204 817 365 5", "10/03/2026 at 23:30",
        "mwolo.test/verify/",
    ):  # fmt: skip
        assert part in text, part


@pytest.mark.parametrize(("way", "word"), [("cash", "Cash"), ("bank", "Bank transfer")])
def test_money_that_no_wallet_tells_of_is_named_in_words(way: str, word: str) -> None:
    assert f"Paid with {word}" in text_of(render_receipt(replace(FACTS, wallet=way, provider_txn_id=""), "en"))


def test_the_day_is_the_day_at_the_site() -> None:
    assert "11/03/2026 at 00:30" in text_of(render_receipt(replace(FACTS, zone=EAST), "en"))


def test_what_is_still_due_stands_on_it() -> None:
    text = text_of(render_receipt(replace(FACTS, to_credit=None, due=Money.units(12_000, "CDF")), "en"))
    assert "Still to pay after this payment 12 000 FC" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_same_receipt_is_the_same_bytes(language: str) -> None:
    first = render_receipt(FACTS, language)
    assert first == render_receipt(FACTS, language)
    assert len(PdfReader(BytesIO(first)).pages) == 1
    assert "30 000 FC" in text_of(first)
    assert "{" not in text_of(first), "no blank is left"


def test_many_invoices_share_the_last_line_and_the_sum_is_right() -> None:
    placed = tuple(Placed(f"T-{n:06d}", "2026-02", Money.units(1_000 * n, "CDF")) for n in range(1, 21))
    text = text_of(render_receipt(replace(FACTS, placed=placed), "en"))
    shown = [int(n) for n in re.findall(r"Invoice T-0*(\d+) of", text)]
    rest = sum(1_000 * n for n in range(1, 21) if n not in shown)
    assert f"{len(placed) - len(shown)} more invoices {Money.units(rest, 'CDF').text}" in text


@pytest.mark.parametrize("name", ["Lɔtiliki ya Ɛquateur", "ŋgombe"])
def test_letters_that_few_fonts_have_are_shown(name: str) -> None:
    pdf = render_receipt(replace(FACTS, utility=name), "en")
    assert name in text_of(pdf)
    assert len(pdf) < 60_000


def test_the_square_holds_the_address() -> None:
    page = PdfReader(BytesIO(render_receipt(FACTS, "en"))).pages[0]
    content = page.get_contents()
    assert content is not None
    cells = re.findall(rb"([\d.]+) ([\d.]+) ([\d.]+) ([\d.]+) re", content.get_data())
    matrix = segno.make(URL, error="m", micro=False).matrix
    side = 92.0 / len(matrix)
    squares = [cell for cell in cells if abs(float(cell[3]) - side) < 0.01]
    dark = sum(round(float(cell[2]) / side) for cell in squares)
    assert dark == sum(sum(row) for row in matrix)
    links = [a.get_object()["/A"]["/URI"] for a in page["/Annots"]]
    assert links == [URL]
