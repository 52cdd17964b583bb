"""The operators' own reports: a day's money as a CSV file from their portal.

The layouts are invented, for no operator publishes its own; each differs where real ones do: separator, decimal sign,
dates, one amount column or two, words. `docs/sandbox.md` describes them, and the guesses of the first import fit them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from mwolo.sandbox.movements import Ahead, Movements
from mwolo.sandbox.store import Now, Row

KINSHASA, NAIROBI = "Africa/Kinshasa", "Africa/Nairobi"
# When an operator sends yesterday's money, less its fees, to the bank.
PAYOUT_AT = time(6)
_IN = ("payment", "walk_in")


@dataclass(frozen=True)
class Layout:
    """How one operator writes its report. `columns`: header → what stands below it (`_cells`).

    `words`: our kinds → its words. `per_mille`: its fee on money that comes in; without a column for it the fee is a
    line of its own. `done`: its word for money that moved. `phone`: how much of a payer it shows.
    """

    columns: Mapping[str, str]
    words: Mapping[str, str]
    done: str
    per_mille: int
    date_format: str
    delimiter: str = ","
    decimal: str = "."
    thousands: str = ""
    zone: str = KINSHASA
    currencies: tuple[str, ...] = ("CDF", "USD")
    phone: Callable[[str], str] = field(default=lambda phone: phone.removeprefix("+"))

    @property
    def fee_lines(self) -> bool:
        return "fee" not in self.columns.values()


@dataclass(frozen=True)
class Line:
    """One line before it is written. Amounts are hundredths; `minor` is positive."""

    kind: str
    at: float
    minor: int
    fee: int = 0
    number: str = ""
    own_id: str = ""
    phone: str = ""
    reference: str = ""
    original: str = ""


LAYOUTS: Mapping[str, Layout] = {
    "vodacom": Layout(
        columns={
            "Receipt No.": "number",
            "Completion Time": "at",
            "Reason Type": "kind",
            "Transaction Status": "state",
            "Paid In": "in",
            "Withdrawn": "out",
            "Currency": "currency",
            "Opposite Party": "phone",
            "Reference": "reference",
            "Third Party Reference": "own_id",
            "Linked Transaction ID": "original",
        },
        words={
            "payment": "Customer Payment",
            "walk_in": "Pay Bill",
            "refund": "Refund",
            "reversal": "Payment Reversal",
            "payout": "Settlement",
            "fee": "Charge",
        },
        done="Completed",
        per_mille=10,
        date_format="%Y-%m-%d %H:%M:%S",
        thousands=",",
    ),
    "pawapay": Layout(
        columns={
            "Date": "at",
            "Transaction type": "kind",
            "Status": "state",
            "Transaction ID": "own_id",
            "Client reference ID": "reference",
            "Provider transaction ID": "number",
            "Amount": "amount",
            "Currency": "currency",
            "Fee": "fee",
            "Phone number": "phone",
            "Related transaction ID": "original",
        },
        words={
            "payment": "DEPOSIT",
            "walk_in": "DEPOSIT",
            "refund": "REFUND",
            "reversal": "REVERSAL",
            "payout": "SETTLEMENT",
        },
        done="COMPLETED",
        per_mille=15,
        date_format="%Y-%m-%dT%H:%M:%SZ",
        zone="UTC",
    ),
    "airtel": Layout(
        columns={
            "Airtel Money ID": "number",
            "Transaction Date": "at",
            "Transaction Type": "kind",
            "Status": "state",
            "Amount": "amount",
            "Service Charge": "fee",
            "Currency": "currency",
            "Sender MSISDN": "phone",
            "Reference": "reference",
            "External Transaction ID": "own_id",
            "Original Transaction ID": "original",
        },
        words={
            "payment": "Merchant Payment",
            "walk_in": "Merchant Payment",
            "refund": "Refund",
            "reversal": "Reversal",
            "payout": "Settlement",
        },
        done="Success",
        per_mille=15,
        date_format="%d-%m-%Y %H:%M",
        phone=lambda phone: phone[-9:],
    ),
    "orange": Layout(
        columns={
            "Date": "at",
            "Transaction ID": "number",
            "Type": "kind",
            "Statut": "state",
            "Numéro client": "phone",
            "Montant": "amount",
            "Devise": "currency",
            "Frais": "fee",
            "Partner Transaction ID": "own_id",
            "Transaction d'origine": "original",
            "Référence": "reference",
        },
        words={
            "payment": "Paiement",
            "walk_in": "Paiement",
            "refund": "Remboursement",
            "reversal": "Annulation",
            "payout": "Versement",
        },
        done="Succès",
        per_mille=12,
        date_format="%d/%m/%Y %H:%M:%S",
        delimiter=";",
        decimal=",",
        thousands=" ",
        phone=lambda phone: "0" + phone[-9:],
    ),
    "mpesa_ke": Layout(
        columns={
            "Receipt No.": "number",
            "Completion Time": "at",
            "Details": "kind",
            "Transaction Status": "state",
            "Paid In": "in",
            "Withdrawn": "out",
            "Linked Transaction ID": "original",
            "Other Party Info": "phone",
            "A/C No.": "reference",
        },
        words={
            "payment": "Pay Bill Online from {phone} Acc. {reference}",
            "walk_in": "Pay Bill from {phone} Acc. {reference}",
            "refund": "Business Payment to {phone}",
            "reversal": "Transaction Reversal",
            "payout": "Organization Settlement Account",
            "fee": "Pay Bill Charge",
        },
        done="Completed",
        per_mille=5,
        date_format="%d-%m-%Y %H:%M:%S",
        thousands=",",
        zone=NAIROBI,
        currencies=("KES",),
        phone=lambda phone: f"{phone[1:5]}****{phone[-3:]}",
    ),
}


class Statements:
    """Writes reports. A day, once over, is always written the same, and so is each line."""

    def __init__(
        self, movements: Movements, now: Now, ahead: Ahead | None = None, skew: Callable[[str], float] | None = None
    ) -> None:
        self._movements = movements
        self._now = now
        self._ahead = ahead or (lambda: 0.0)
        self._skew = skew or (lambda _wallet: 0.0)

    def today(self, wallet: str) -> date:
        """The operator's own day at this business moment."""
        moment = datetime.fromtimestamp(self._now() + self._ahead(), UTC)
        return moment.astimezone(ZoneInfo(LAYOUTS[wallet].zone)).date()

    def csv(self, wallet: str, day: date, currency: str) -> str:
        """The report of one of the operator's days, oldest line first."""
        layout = LAYOUTS[wallet]
        paper = io.StringIO()
        pen = csv.writer(paper, delimiter=layout.delimiter, lineterminator="\r\n")
        pen.writerow(layout.columns)
        for line in self.lines(wallet, day, currency):
            cells = _cells(layout, line, currency, self._skew(wallet))
            pen.writerow([cells[name] for name in layout.columns.values()])
        return paper.getvalue()

    def lines(self, wallet: str, day: date, currency: str) -> list[Line]:
        """What stands in it: the money of the day, and what of the day before went to the bank."""
        layout = LAYOUTS[wallet]
        payout = self._payout(wallet, layout, day, currency)
        written = [] if payout is None else [payout]
        for line in self._of_day(wallet, layout, day, currency):
            written.append(line)
            if layout.fee_lines and line.fee:
                written.append(Line("fee", line.at, line.fee, number=line.number))
        return sorted(written, key=lambda line: line.at)

    def _of_day(self, wallet: str, layout: Layout, day: date, currency: str) -> list[Line]:
        start, end = (_moment(layout, one, time()) for one in (day, day + timedelta(days=1)))
        return [self._line(layout, row) for row in self._movements.between(wallet, currency, start, end)]

    def _line(self, layout: Layout, row: Row) -> Line:
        fee = row["minor"] * layout.per_mille // 1000 if row["kind"] in _IN else 0
        if row["currency"] != "USD":
            fee -= fee % 100
        original = "" if row["original_id"] is None else self._movements.one(row["original_id"])["provider_txn_id"]
        return Line(
            kind=row["kind"],
            at=row["books_at"],
            minor=row["minor"],
            fee=fee,
            number=row["provider_txn_id"] or "",
            own_id=row["own_id"] or "",
            phone=row["phone"],
            reference=row["reference"] or "",
            original=original or "",
        )

    def _payout(self, wallet: str, layout: Layout, day: date, currency: str) -> Line | None:
        at = _moment(layout, day, PAYOUT_AT)
        if at > self._now() + self._ahead():
            return None
        before = self._of_day(wallet, layout, day - timedelta(days=1), currency)
        net = sum((line.minor if line.kind in _IN else -line.minor) - line.fee for line in before)
        if net <= 0:
            return None
        return Line("payout", at, net, number=f"PO{day:%Y%m%d}{currency}")


def _moment(layout: Layout, day: date, clock: time) -> float:
    return datetime.combine(day, clock, ZoneInfo(layout.zone)).timestamp()


def _cells(layout: Layout, line: Line, currency: str, skew: float) -> dict[str, str]:
    """Everything an operator may write about a line, by the names in `Layout.columns`."""
    at = datetime.fromtimestamp(line.at + skew, UTC).astimezone(ZoneInfo(layout.zone))
    amount, inwards = _amount(line.minor, layout), line.kind in _IN
    phone = layout.phone(line.phone) if line.phone else ""
    return {
        "number": line.number,
        "at": at.strftime(layout.date_format),
        "kind": layout.words[line.kind].format(phone=phone, reference=line.reference),
        "state": layout.done,
        "amount": amount if inwards else f"-{amount}",
        "in": amount if inwards else "",
        "out": "" if inwards else amount,
        "fee": _amount(line.fee, layout),
        "currency": currency,
        "phone": phone,
        "reference": line.reference,
        "own_id": line.own_id,
        "original": line.original,
    }


def _amount(minor: int, layout: Layout) -> str:
    whole = f"{minor // 100:,}".replace(",", layout.thousands)
    return f"{whole}{layout.decimal}{minor % 100:02d}"
