"""The customer in Kenya: one, labelled, owing 1 250 shillings, and nobody's neighbour."""

from __future__ import annotations

from sqlalchemy import select

from core.billing.tables import InvoiceRow
from core.customers.tables import ContractRow, CustomerRow, SiteRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.digits import is_account_number
from core.ledger.queries import differences
from core.outbox import OutboxRow
from core.phone_numbers import first_guess, parse_e164
from core.services.billing import Billing
from mwolo.seed import seed
from mwolo.seed_abroad import ACCOUNT, KENYAN, seed_abroad


def test_a_kenyan_owes_shillings(any_db: Database, clock: FixedClock) -> None:
    town = seed(any_db, clock, size=3)
    assert seed_abroad(any_db, clock) == KENYAN
    clock.advance(days=1)
    seed_abroad(any_db, clock)
    assert KENYAN.phone not in {one.phone for one in town.customers}
    with any_db.read() as session:
        (contract,) = session.scalars(select(ContractRow).where(ContractRow.currency == "KES"))
        (invoice,) = session.scalars(select(InvoiceRow).where(InvoiceRow.contract_id == contract.id))
        assert (contract.account_number, contract.meter_id) == (ACCOUNT, None)
        assert (invoice.state, invoice.total_minor, invoice.paid_minor) == ("sent", 1_250_00, 0)
        assert "Kenya" in session.get_one(CustomerRow, contract.customer_id).name
        assert "Kenya" in session.get_one(SiteRow, contract.site_id).city
        assert not differences(session)
        waiting = session.scalars(select(OutboxRow.key).where(OutboxRow.state == "pending")).all()
        assert [key for key in waiting if key.startswith("notice:")] == []
    assert (parse_e164(KENYAN.phone), first_guess(KENYAN.phone)) == (KENYAN.phone, "mpesa")
    assert is_account_number(ACCOUNT)


def test_a_town_seeded_before_learns_of_her_and_goes_on(db: Database, clock: FixedClock) -> None:
    before = seed(db, clock, size=3)
    clock.advance(days=30)
    seed_abroad(db, clock)
    assert seed(db, clock, size=3) == before
    for _ in range(4):
        clock.advance(days=1)
        Billing(db, clock).sweep()
