"""Every kind of money event asks dunning again, in its transaction: walked, so that a new kind fails by existing."""

from __future__ import annotations

import pytest

from core.billing.tables import DunningCycleRow
from core.customers.tables import ContractRow
from core.db import Database
from core.kernel.clock import WEST, FixedClock, local_date
from core.settlement import events as e
from core.supply.tables import MeterDesiredRow
from tests import town
from tests.core.settlement.books import Books, francs
from tests.core.settlement.test_settlement_events import CASES

KINDS = sorted(CASES, key=lambda cls: cls.kind)
# Money that belongs to no contract: there is nobody to ask about.
NOBODYS = {
    "unplaced_money", "float_bought", "cash_handed_over", "operator_paid_out", "suspense_refund_owed",
    "payslip_closed", "pay_paid",
}  # fmt: skip


@pytest.fixture
def books(db: Database, clock: FixedClock) -> Books:
    return Books(db, clock)


def _sent_and_not_yet_posted(books: Books, contract_id: int) -> e.Event:
    with books.db.begin() as session:
        row = town.invoice(session, session.get_one(ContractRow, contract_id), total=francs(100))
        row.state, row.sent_on, row.sent_at = "sent", local_date(books.clock.now(), WEST), books.clock.now()
        session.add(DunningCycleRow(invoice_id=row.id, cycle=1, started_on=row.sent_on, cause="sent"))
        return e.InvoiceSent(key="k", invoice_id=row.id)


@pytest.mark.parametrize("kind", KINDS, ids=[cls.kind for cls in KINDS])
def test_each_kind_asks_again(books: Books, kind: type[e.Event]) -> None:
    """Supply is off though nothing is due. Whatever touches the contract's money finds that, and gives it back."""
    contract_id = books.contract()
    build = _sent_and_not_yet_posted if kind is e.InvoiceSent else CASES[kind][0]
    event = build(books, contract_id)
    with books.db.begin() as session:
        meter_id = session.get_one(ContractRow, contract_id).meter_id
        assert meter_id is not None
        row = session.get(MeterDesiredRow, meter_id)
        assert row is None or row.supply == "on"
        wanted = row or MeterDesiredRow(meter_id=meter_id, version=0)
        wanted.version, wanted.supply, wanted.reason = wanted.version + 1, "off", "nonpayment"
        wanted.set_by, wanted.set_at = "test", books.clock.now()
        session.add(wanted)
    books.post(event)
    with books.db.read() as session:
        supply = session.get_one(MeterDesiredRow, meter_id).supply
    assert supply == ("off" if kind.kind in NOBODYS else "on")


def test_nobodys_kinds_are_kinds() -> None:
    assert {cls.kind for cls in CASES} >= NOBODYS
