"""A clerk with a till: payments on one side, the operator's report on the other."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import select

from core.customers.tables import ContractRow
from core.db import Database
from core.db.engine import assert_outside_transaction
from core.kernel.clock import FixedClock
from core.kernel.money import Money
from core.payments.ports import Accepted, Paid, StatementLine
from core.payments.tables import PaymentRow
from core.reconciliation.model import Imported, LineView, Totals
from core.services.reconciliation import Reconciliation
from tests.core.payments.scripted import BILL, CAN, PAYER, ScriptedWallet, Till
from tests.core.settlement.books import Books

COLUMNS = {
    "provider_txn_id": "Receipt No.",
    "own_id": "Partner reference",
    "at": "Completion Time",
    "amount": "Amount",
    "currency": "Currency",
    "fee": "Fee",
    "kind": "Type",
    "state": "Status",
    "payer": "Payer",
    "reference": "Account",
    "original_txn_id": "Linked to",
}
OPTIONS: dict[str, Any] = {
    "kinds": {
        "Payment": "payment", "Refund": "refund", "Reversal": "reversal", "Fee": "fee", "Payout": "payout",
        "Top up": "other",
    },
    "done": ["Completed"],
    "not_done": ["Failed"],
}  # fmt: skip
DAY = date(2026, 3, 10)


@dataclass(frozen=True)
class Line:
    """A line as the operator's portal writes it. Nine o'clock in Kinshasa is when the tests begin."""

    txn: str = ""
    amount: str = "28500"
    own: str = ""
    at: str = "10/03/2026 09:01:00"
    currency: str = "CDF"
    fee: str = ""
    kind: str = "Payment"
    state: str = "Completed"
    payer: str = "243815551111"
    ref: str = ""
    orig: str = ""

    @property
    def cells(self) -> list[str]:
        return [
            self.txn, self.own, self.at, self.amount, self.currency, self.fee, self.kind, self.state, self.payer,
            self.ref, self.orig,
        ]  # fmt: skip


def as_csv(lines: Sequence[Line], *, delimiter: str = ",", encoding: str = "utf-8") -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(COLUMNS.values())
    writer.writerows(line.cells for line in lines)
    return out.getvalue().encode(encoding)


class ReportingWallet(ScriptedWallet):
    """A wallet whose report can be fetched."""

    def __init__(self, name: str = "vodacom") -> None:
        super().__init__(name, replace(CAN, statements=True))
        self.report: list[StatementLine] | Exception = []
        self.asked: list[tuple[datetime, datetime]] = []

    def statement(self, start: datetime, end: datetime) -> Sequence[StatementLine]:
        assert_outside_transaction()
        self.asked.append((start, end))
        if isinstance(self.report, Exception):
            raise self.report
        return self.report


class Clerk:
    """The till, the reconciliation service, and short words for what tests do."""

    def __init__(self, db: Database, clock: FixedClock, wallet: ScriptedWallet | None = None) -> None:
        self.db, self.clock = db, clock
        self.till = Till(db, clock, wallet=wallet)
        self.office = Reconciliation(db, clock, {"vodacom": self.till.wallet}, self.till.payments)
        self.books = Books(db, clock)
        with db.read() as session:
            self.account = session.get_one(ContractRow, self.till.contract_id).account_number

    def asked(self, payer: str = PAYER, amount: Money = BILL) -> tuple[str, str]:
        """A request that left: (attempt id, own reference)."""
        attempt_id = self.till.submitted(Accepted(), payer_phone=payer, asked_by_phone=payer, amount=amount)
        return attempt_id, self.till.attempt(attempt_id).own_ref

    def paid(self, txn: str | None, payer: str = PAYER, amount: Money = BILL) -> tuple[str, str]:
        """A request that brought money: (attempt id, own reference)."""
        attempt_id, own = self.asked(payer, amount)
        self.till.ask(attempt_id, Paid(txn, amount))
        return attempt_id, own

    def take(self, *lines: Line, name: str = "report.csv", by: str = "nadine") -> Imported:
        return self.office.import_file("vodacom", "CDF", name, as_csv(lines), COLUMNS, OPTIONS, by)

    def lines(self, **wanted: Any) -> list[LineView]:
        return list(self.office.lines("vodacom", **wanted))

    def outcomes(self) -> list[str]:
        return [line.outcome for line in self.lines()]

    def payment(self, payment_id: str) -> PaymentRow:
        with self.db.read() as session:
            return session.get_one(PaymentRow, payment_id)

    def payment_with(self, txn: str) -> PaymentRow:
        with self.db.read() as session:
            return session.scalars(select(PaymentRow).where(PaymentRow.provider_txn_id == txn)).one()

    def totals(self) -> Totals:
        (found,) = self.office.totals("vodacom")
        return found

    def check(self) -> None:
        """The books hold, and nothing is hidden between the three ways."""
        self.till.check()
        assert self.totals().ledger_difference == 0
