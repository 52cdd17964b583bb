"""The office's table of numbers: what it proposes, who changed it, and that another process soon knows."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher
from sqlalchemy import event, select

from core.db import Database
from core.kernel.clock import FixedClock
from core.payments.errors import BadRange
from core.phone_numbers import example_number, may_pay_in, payer_number, prefix_table
from core.services import routing as routing_module
from core.services.routing import Routing
from core.services.staff import Staff
from core.staff.tables import AuditRow

VODACOM, AIRTEL, KENYAN = "+243810000001", "+243970000001", "+254712345678"


@pytest.fixture
def staff(any_db: Database, clock: FixedClock) -> Staff:
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    return Staff(any_db, clock, "a secret of the tests", hasher=hasher)


@pytest.fixture
def routing(any_db: Database, clock: FixedClock, staff: Staff) -> Routing:
    return Routing(any_db, clock, staff.audit)


@pytest.mark.parametrize(
    ("phone", "brand"),
    [(VODACOM, "mpesa"), (AIRTEL, "airtel"), ("+243890000001", "orange"), ("+243900000001", None),
     ("+243870000001", None), (KENYAN, "mpesa"), ("+254110345678", "mpesa"), ("+254733123456", "airtel"),
     ("+256772123456", None), ("+14155550123", None), ("nonsense", None), ("", None)],
)  # fmt: skip
def test_what_is_proposed_before_the_office_has_written_anything(
    routing: Routing, phone: str, brand: str | None
) -> None:
    assert routing.brand_of(phone) == brand


def test_the_longest_range_of_the_office_wins_and_removing_it_brings_ours_back(routing: Routing) -> None:
    routing.set_range("+243 81", "Orange", "orange", "awa")
    routing.set_range("2438100", "Somebody small", None, "awa")
    routing.set_range("2438", "Airtel", "airtel", "awa")
    routing.set_range("254", "Nobody here", None, "awa")
    assert routing.brand_of("+243811111111") == "orange"
    assert routing.brand_of(VODACOM) is None
    assert routing.brand_of("+243890000001") == "airtel", "the office goes before our own longer prefix"
    assert routing.brand_of(KENYAN) is None
    for prefix in ("24381", "2438100", "2438"):
        routing.remove_range(prefix, "awa")
    assert routing.brand_of(VODACOM) == "mpesa"


def test_all_ranges_with_whose_word_they_are(routing: Routing, clock: FixedClock) -> None:
    routing.set_range("24381", "Orange", "orange", "awa")
    routing.set_range("25471", "Safaricom", "mpesa", "awa")
    found = {one.prefix: one for one in routing.ranges()}
    assert len(found) == len(prefix_table()) + 1
    assert list(found) == sorted(found)
    ours, theirs = found["24382"], found["24381"]
    assert (ours.source, ours.operator, ours.brand, ours.changed_by) == ("shipped", "Vodacom", "mpesa", None)
    assert (theirs.source, theirs.brand, theirs.changed_by) == ("office", "orange", "awa")
    assert theirs.changed_at == clock.real_now()


@pytest.mark.parametrize(
    ("prefix", "operator", "brand"),
    [("2", "X", None), ("2438100000", "X", None), ("081", "X", None), ("24a", "X", None), ("", "X", None),
     ("²43", "X", None), ("24381", " ", None), ("24381", "X" * 41, None), ("24381", "X", "mtn"), ("24381", "X", "")],
)  # fmt: skip
def test_what_cannot_be_is_refused_and_changes_nothing(
    routing: Routing, any_db: Database, prefix: str, operator: str, brand: str | None
) -> None:
    with pytest.raises(BadRange):
        routing.set_range(prefix, operator, brand, "awa")
    with pytest.raises(BadRange):
        routing.remove_range(prefix or "24399", "awa")
    with any_db.read() as session:
        assert session.scalar(select(AuditRow.id).limit(1)) is None


def test_who_changed_what_is_written_down(routing: Routing, staff: Staff, any_db: Database) -> None:
    routing.set_range("24381", "Orange", "orange", "awa")
    routing.set_range("24381", "Vodacom", None, "ben")
    routing.remove_range("24381", "awa")
    with any_db.read() as session:
        rows = [(r.actor, r.act, r.subject, r.detail) for r in session.scalars(select(AuditRow).order_by(AuditRow.id))]
    assert rows == [
        ("awa", "number_range.set", "24381", "Orange orange, new"),
        ("ben", "number_range.set", "24381", "Vodacom -, was Orange orange"),
        ("awa", "number_range.removed", "24381", "was Vodacom -"),
    ]
    assert staff.verify_chain().whole


def test_another_process_knows_after_its_next_look(
    routing: Routing, any_db: Database, clock: FixedClock, staff: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Routing(any_db, clock, staff.audit)
    other.refresh()
    routing.set_range("24381", "Orange", "orange", "awa")
    assert other.brand_of(VODACOM) == "mpesa"
    other.refresh()
    assert other.brand_of(VODACOM) == "orange"
    clock.advance(seconds=1)
    routing.set_range("24381", "Airtel", "airtel", "awa")
    other.refresh()
    assert other.brand_of(VODACOM) == "airtel"
    routing.remove_range("24381", "awa")
    other.refresh()
    assert other.brand_of(VODACOM) == "mpesa"
    # The clock of the other machine stands still: only the age of the copy brings the change.
    routing.set_range("24381", "Orange", "orange", "awa")
    other.refresh()
    routing.set_range("24381", "Airtel", "airtel", "awa")
    other.refresh()
    assert other.brand_of(VODACOM) == "orange"
    monkeypatch.setattr(routing_module, "_OLD_S", 0.0)
    other.refresh()
    assert other.brand_of(VODACOM) == "airtel"


def test_a_turn_reads_nothing_and_an_idle_look_reads_no_rows(routing: Routing, any_db: Database) -> None:
    routing.set_range("24381", "Orange", "orange", "awa")
    asked: list[str] = []
    event.listen(any_db.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    assert routing.brand_of(VODACOM) == "orange"
    assert not asked
    routing.refresh()
    assert [text for text in asked if "number_range" in text and "count" not in text] == []


def test_numbers_that_may_pay_in_a_currency() -> None:
    assert payer_number("0812345678", "CDF") == "+243812345678"
    assert payer_number("0712345678", "KES") == payer_number("+254712345678", "KES") == "+254712345678"
    for wrong, currency in (("+254712345678", "CDF"), ("+243812345678", "KES"), ("12", "USD")):
        assert payer_number(wrong, currency) is None
    assert may_pay_in(VODACOM, "USD")
    assert may_pay_in(KENYAN, "KES")
    assert not may_pay_in(KENYAN, "CDF")
    assert payer_number(example_number("KES"), "KES")
    assert payer_number(example_number("USD"), "USD")
