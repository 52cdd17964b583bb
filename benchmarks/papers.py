"""Papers per second and core, beside a bare canvas: python -m benchmarks.papers [--rounds N] [--seconds S]

The floor is the least that reportlab can cost: one page, the words of the receipt as plain strings, no square, no
measuring of widths. Rounds are interleaved; ratios are taken inside a round.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from io import BytesIO

from reportlab.lib.pagesizes import A5
from reportlab.pdfgen.canvas import Canvas

from core.documents.invoice import Before, BillLine, InvoiceFacts, Measured, Office, render_invoice
from core.documents.payslip import PayLine, PayslipFacts, render_payslip
from core.documents.receipt import Placed, ReceiptFacts, render_receipt
from core.kernel.clock import WEST
from core.kernel.money import Money

URL = "https://mwolo.example/verify/2048173655"


def _cdf(units: int) -> Money:
    return Money.units(units, "CDF")


RECEIPT = ReceiptFacts(
    "Mwolo Énergie", "R260310ABCDE", "2048173655", datetime(2026, 3, 10, 22, 30, tzinfo=UTC), WEST, _cdf(30_000),
    "1000000018", "081***0001", "M-Pesa", "CI260310.0912.A00417", (Placed("2026-000417", "2026-02", _cdf(28_500)),),
    _cdf(1_500), _cdf(0), _cdf(1_500), URL,
)  # fmt: skip
BILL = InvoiceFacts(
    "Mwolo Énergie", "2026-000417", "2048173655", "", "2026-02", date(2026, 3, 1), "Mbuyi Kalala Marie",
    ("7 avenue Kasa-Vubu", "Lemba", "Kinshasa"), "1000000018", "MW-0000417", "CDF",
    (BillLine("Énergie, tranche sociale", _cdf(4_250), "50 kWh", "85"),
     BillLine("Énergie, tranche 2", _cdf(10_665), "90 kWh", "118,5"), BillLine("TVA 16 %", _cdf(2_386), is_tax=True)),
    "*123#", Office("Agence Kinshasa", "12 avenue du Marché", "+243815550000", "8h-16h"), URL,
    measured=Measured("MW-0000417", date(2026, 1, 31), date(2026, 2, 28), 12_345_600, 12_485_600),
    before=Before("2026-01", _cdf(16_200), ("3 jours de moins : -1 540 FC",)),
)  # fmt: skip
SLIP = PayslipFacts(
    "Mwolo Énergie", "P-2026-02-0017", "2026-02", date(2026, 2, 27), "Ilunga Kabongo", "E-0017", "Agent", "Lubumbashi",
    (PayLine("Salaire de base", _cdf(650_000)),), (PayLine("INSS", _cdf(42_700)),), "CDF",
)  # fmt: skip
_WORDS = (
    "Mwolo Énergie", "Reçu de paiement", "30 000 FC", "reçu le 10/03/2026 à 23:30", "Reçu", "R260310ABCDE", "Compte",
    "100 000 001 8", "Payé par", "081***0001", "Payé avec", "M-Pesa", "Facture 2026-000417 de 02/2026", "28 500 FC",
    "Gardé comme avance", "1 500 FC", "Code de vérification", "204 817 365 5", "Chacun peut vérifier ce reçu.",
)  # fmt: skip


def bare() -> bytes:
    out = BytesIO()
    canvas = Canvas(out, pagesize=A5, invariant=1, pageCompression=1)
    for place, word in enumerate(_WORDS):
        canvas.setFont("Helvetica", 10)
        canvas.drawString(34, 560 - 20 * place, word)
    canvas.showPage()
    canvas.save()
    return out.getvalue()


PAPERS: dict[str, Callable[[], bytes]] = {
    "a bare canvas": bare,
    "receipt": lambda: render_receipt(RECEIPT, "fr"),
    "bill": lambda: render_invoice(BILL, "fr"),
    "payslip": lambda: render_payslip(SLIP, "fr"),
}


def _us(make: Callable[[], bytes], seconds: float) -> float:
    """CPU microseconds a paper."""
    count, begin, until = 0, time.process_time(), time.process_time() + seconds
    while time.process_time() < until:
        make()
        count += 1
    return (time.process_time() - begin) / count * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5)
    asked = parser.parse_args()
    sizes = {name: len(make()) for name, make in PAPERS.items()}
    rounds = [{name: _us(make, asked.seconds) for name, make in PAPERS.items()} for _ in range(asked.rounds)]
    print("| | CPU µs | a second and core | × bare | bytes |\n|---|---|---|---|---|")
    for name in PAPERS:
        spent = statistics.median(one[name] for one in rounds)
        ratio = statistics.median(one[name] / one["a bare canvas"] for one in rounds)
        print(f"| {name} | {spent:.0f} | {1e6 / spent:.0f} | {ratio:.1f} | {sizes[name]} |")


if __name__ == "__main__":
    main()
