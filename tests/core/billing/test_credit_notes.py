"""Credit notes beside everything else that lowers an invoice: what was given up, other open invoices, reversals."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.errors import StateConflict
from core.kernel.money import Money
from core.ledger.model import credit, receivable
from core.ledger.queries import balance
from core.payments.tables import PaymentRow
from core.reconciliation.tables import StatementLineRow
from core.services.credit_notes import CreditNotes
from core.services.reconciliation.context import Context
from core.services.reconciliation.outgoing import post_reversal
from core.services.write_offs import WriteOffs
from core.settlement import post
from core.settlement.events import CashTaken, WalletMoney
from tests import town
from tests.core.billing.test_billing_run import Utility

BILL = Money.units(15_000, "CDF")


@pytest.fixture
def small(db: Database, clock: FixedClock) -> Utility:
    return Utility(db, clock)


def send(utility: Utility, period: str) -> None:
    utility.runs.run(period)
    utility.runs.validate_all(period)
    utility.runs.send_all(period)


def pay(utility: Utility, home: town.Home, amount: Money = BILL, *, wallet: bool = False) -> str:
    with utility.db.begin() as session:
        row = town.payment(session, home.contract, amount)
        about = {"key": f"pay:{row.id}", "payment_id": row.id, "contract_id": home.contract.id, "amount": amount}
        event = WalletMoney(wallet="vodacom", **about) if wallet else CashTaken(cashier="c", **about)  # type: ignore[arg-type]
        post(session, event, clock=utility.clock)
        return row.id


def credits_and_debts(utility: Utility, home: town.Home) -> tuple[int, int]:
    """(credit, owed) in francs."""
    with utility.db.read() as session:
        held = balance(session, credit(home.contract.id), "CDF").minor
        return held // 100, balance(session, receivable(home.contract.id), "CDF").minor // 100


def test_what_was_given_up_was_never_paid_and_is_not_given_back(small: Utility) -> None:
    home, notes = small.home("flat"), CreditNotes(small.db, small.clock)
    send(small, "2026-02")
    (bill,) = small.invoices(home)
    pay(small, home, Money.units(5_000, "CDF"))
    WriteOffs(small.db, small.clock).write_off(bill.id, seen=Money.units(10_000, "CDF"), reason="gone", by="ada")
    with pytest.raises(StateConflict, match="5 000"):
        notes.credit(bill.id, BILL, reason="all of it", by="jeanne")
    with pytest.raises(StateConflict, match="given up"):
        notes.credit_lines(bill.id, [1], reason="the line", by="jeanne")
    assert credits_and_debts(small, home) == (0, 0)
    notes.credit(bill.id, Money.units(5_000, "CDF"), reason="what she paid", by="jeanne")
    assert credits_and_debts(small, home) == (5_000, 0)


def test_what_a_note_gives_back_pays_what_else_is_open(small: Utility) -> None:
    home, notes = small.home("flat"), CreditNotes(small.db, small.clock)
    send(small, "2026-01")
    pay(small, home)
    send(small, "2026-02")
    january, february = small.invoices(home)
    notes.credit(january.id, Money.units(6_000, "CDF"), reason="a week dark", by="jeanne")
    assert credits_and_debts(small, home) == (0, 9_000)
    notes.credit(january.id, Money.units(9_000, "CDF"), reason="the rest too", by="jeanne")
    assert credits_and_debts(small, home) == (0, 0)
    assert [row.paid_minor for row in small.invoices(home)] == [BILL.minor, BILL.minor]
    # Nothing is left of January to give back; February was paid with it.
    notes.credit(february.id, BILL, reason="dark all month", by="jeanne")
    assert credits_and_debts(small, home) == (15_000, 0)


def test_credit_pays_what_a_reversal_opens_again(small: Utility) -> None:
    home = small.home("flat")
    send(small, "2026-02")
    first = pay(small, home, wallet=True)
    pay(small, home, Money.units(4_000, "CDF"))
    with small.db.begin() as session:
        payment = session.get_one(PaymentRow, first)
        line = StatementLineRow(id=1, wallet="vodacom")
        context = Context(small.db, small.clock, {}, payments=None, settlement_delay=timedelta(0))  # type: ignore[arg-type]
        post_reversal(context, session, line, payment, actor="system")
    assert credits_and_debts(small, home) == (0, 11_000)
    (bill,) = small.invoices(home)
    assert (bill.paid_minor, bill.cycle) == (400_000, 2)
