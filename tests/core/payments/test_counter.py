"""Money at the counter and at the bank: one id is one declaration, one line of the bank's statement is booked once."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.errors import StateConflict
from core.kernel.money import Money
from core.payments.tables import PaymentRow
from core.services.counter import Counter, Declaration, OtherContent
from tests import town


def _no_audit(_session: Session, *_said: str) -> None:
    """Another test's business."""


@pytest.fixture
def counter(any_db: Database, clock: FixedClock) -> Counter:
    return Counter(any_db, clock, _no_audit)


@pytest.fixture
def home(any_db: Database) -> town.Home:
    with any_db.begin() as session:
        return town.home(session)


def test_one_line_of_the_statement_is_booked_once_however_it_is_typed(
    any_db: Database, counter: Counter, home: town.Home
) -> None:
    bank = Declaration(home.account_number, "bank", town.BILL, "Raw 0417")
    first = counter.declare(str(uuid4()), bank, by="jeanne")
    counter.confirm(first, by="paul")
    for typed in ("Raw 0417", "RAW 0417", " raw   0417 "):
        again = counter.declare(str(uuid4()), replace(bank, reference=typed), by="jeanne")
        with pytest.raises(StateConflict, match="reference"):
            counter.confirm(again, by="paul")
    with any_db.read() as session:
        (row,) = session.scalars(select(PaymentRow))
        assert (row.provider_txn_id, row.reference) == ("RAW 0417", "Raw 0417")
    with pytest.raises(StateConflict, match="reference"):
        counter.declare(str(uuid4()), replace(bank, reference=" "), by="jeanne")


def test_an_id_stands_for_one_sum_from_one_hand(counter: Counter, home: town.Home) -> None:
    """What a program or a colleague declared is not taken for what somebody types now."""
    said, name = Declaration(home.account_number, "cash", town.BILL, "slip 4"), str(uuid4())
    assert counter.declare(name, said, by="api:kiosk") == counter.declare(name, said, by="api:kiosk") == name
    others = [
        replace(said, amount=Money.units(100, "CDF")),
        replace(said, way="bank"),
        replace(said, reference="slip 5"),
    ]
    for other in others:
        with pytest.raises(OtherContent):
            counter.declare(name, other, by="api:kiosk")
    with pytest.raises(OtherContent):
        counter.declare(name, said, by="jeanne")
