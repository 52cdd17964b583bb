"""A cut is told to every phone of the household; what is owed only to those that are fresh."""

from __future__ import annotations

from sqlalchemy import select

from core.customers.tables import ContractRow, CustomerRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.notices.tables import NoticeRow
from tests import town
from tests.core.supply.test_command_life import said
from tests.meters.rig import Books, a_home, service, want

STALE, PAYER = "+243815559901", "+243815559902"


def test_a_stale_phone_hears_of_the_cut_but_not_of_the_debt(db: Database, clock: FixedClock) -> None:
    supply = service(db, clock, Books())
    home = a_home(db, supply)
    with db.begin() as session:
        customer = session.scalars(
            select(CustomerRow).join(ContractRow, ContractRow.customer_id == CustomerRow.id)
        ).one()
        town.phone_link(session, customer, phone=STALE, role="member", fresh=False)
        town.phone_link(session, customer, phone=PAYER, role="payer")
    want(db, clock, home, "off")
    (command,) = supply.lease_commands(10)
    assert supply.mark_sent(command.id, command.token)
    supply.take_reported(home.meter_id, said(1, "off"))
    with db.read() as session:
        told = {n.recipient: n.body for n in session.scalars(select(NoticeRow))}
    assert set(told) == {home.phone, STALE}
    assert " FC" in told[home.phone]
    assert " FC" not in told[STALE]
