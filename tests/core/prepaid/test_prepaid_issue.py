"""Money becomes tokens: once for each payment, whoever works on it, and never without saying why not."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import delete, select, update

from core.cases.tables import CaseRow
from core.customers.tables import ContractRow, MeterRow, PhoneLinkRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.digits import grouped
from core.kernel.money import Money
from core.notices.tables import NoticeRow
from core.outbox import Dead, Done, Later
from core.prepaid.errors import BadKey, NotProvisioned, PriceRefused
from core.prepaid.tables import KeypadMeterRow
from core.sealing import Sealer
from core.services.customers import Customers
from core.services.prepaid import Keypad
from core.settlement import post
from core.settlement.events import Event, RefundFailed, RefundOwed, RefundPaid, RefundReturned
from core.settlement.prepaid import NO_CREDIT
from core.supply.tables import MeterDesiredRow, RelayCommandRow
from tests.core.prepaid.shop import A_DAY, CODE, KEY, Device, Shop
from tests.core.settlement.books import check_books, francs

PLAIN = Keypad(KEY, CODE)


@pytest.fixture
def shop(clean_db: Database, clock: FixedClock) -> Shop:
    return Shop.opened(clean_db, clock, keypad=PLAIN)


def check(shop: Shop) -> None:
    with shop.db.read() as session:
        check_books(session)


def test_a_payment_becomes_days_on_the_meter_and_the_rest_stays(shop: Shop) -> None:
    payment = shop.pays(francs(10_000))
    assert shop.credit() == francs(10_000)
    assert shop.works() == [Done("6 day")]
    (issue,) = shop.issues()
    assert (issue.quantity, issue.amount, issue.payment_id) == (6, francs(9_000), payment)
    assert shop.credit() == francs(1_000)
    standing = shop.standing()
    assert standing is not None
    assert standing.paid_until == shop.clock.now() + timedelta(days=6)
    device = Device()
    assert [device.types(issue.tokens[0]), device.types(issue.tokens[0])] == ["added", "used"]
    assert device.units == 6
    check(shop)


def test_the_text_has_the_token_in_threes_the_days_and_the_account(shop: Shop) -> None:
    shop.pays(francs(3_000))
    shop.works()
    (text,) = shop.texts()
    token = shop.issues()[0].tokens[0]
    assert f"{token[:3]} {token[3:6]} {token[6:]}" in text.body
    assert "2" in text.body.replace(token, "")
    assert "100 000 00" in text.body
    assert (text.recipient, text.segments, text.payment_id) == (shop.home.phone, 1, shop.issues()[0].payment_id)


def test_a_receipt_names_no_credit_that_the_token_uses_up(shop: Shop) -> None:
    def receipt() -> str:
        with shop.db.read() as session:
            kind = select(NoticeRow.body).where(NoticeRow.kind == "payment.receipt").order_by(NoticeRow.id.desc())
            return str(session.scalars(kind.limit(1)).one())

    shop.pays(francs(1_000))
    shop.works()
    assert "1 000 FC" in receipt()
    assert shop.home.meter.id not in receipt(), "too little for a day: it is credit"
    shop.pays(francs(4_700))
    assert shop.home.meter.id in receipt()
    assert "4 700 FC" in receipt()
    assert "5 700 FC" not in receipt()


def test_tokens_that_nobody_can_be_told_are_a_case_of_the_office(shop: Shop) -> None:
    with shop.db.begin() as session:
        session.execute(delete(PhoneLinkRow))
    for _ in range(2):
        payment = shop.pays(francs(3_000))
        shop.works()
        assert shop.prepaid.issue(shop.contract_id, f"payment:{payment}", payment) == Done("issued before")
    with shop.db.read() as session:
        cases = session.scalars(select(CaseRow).order_by(CaseRow.id)).all()
    assert [(case.contract_id, case.phone, case.opened_by) for case in cases] == [
        (shop.contract_id, None, "system")
    ] * 2
    assert "10/03/2026" in cases[0].body
    for issue in shop.issues():
        assert not any(token in case.body or grouped(token) in case.body for token in issue.tokens for case in cases)
    assert shop.texts() == []
    check(shop)


def test_whoever_is_told_leaves_no_case(shop: Shop) -> None:
    shop.pays(francs(3_000))
    shop.works()
    with shop.db.read() as session:
        assert session.scalars(select(CaseRow)).all() == []


def test_the_same_cause_again_issues_nothing(shop: Shop) -> None:
    payment = shop.pays(francs(4_500))
    shop.works()
    shop.pays(francs(1_500))
    again = shop.prepaid.issue(shop.contract_id, f"payment:{payment}", payment)
    assert again == Done("issued before")
    assert len(shop.issues()) == 1
    assert shop.credit() == francs(1_500)


def test_what_is_too_little_waits_for_the_next_payment(shop: Shop) -> None:
    shop.pays(francs(1_000))
    assert shop.works() == [Done("not enough for one unit")]
    shop.pays(francs(800))
    shop.works()
    assert (shop.issues()[0].quantity, shop.credit()) == (1, francs(300))


def test_more_than_one_token_holds_comes_in_several(shop: Shop) -> None:
    shop.pays(Money(A_DAY.minor * 2_100, "CDF"))
    shop.works()
    (issue,) = shop.issues()
    device = Device()
    assert [device.types(token) for token in reversed(issue.tokens)] == ["added"] * 3
    assert device.units == 2_100
    assert shop.texts()[0].segments <= 2


def test_two_workers_at_once_issue_one_token(any_db: Database, clock: FixedClock) -> None:
    shop = Shop.opened(any_db, clock, keypad=PLAIN)
    together = threading.Barrier(2)

    def work(payment: str) -> object:
        together.wait(timeout=30)
        return shop.prepaid.issue(shop.contract_id, f"payment:{payment}", payment)

    with ThreadPoolExecutor(2) as pool:
        for _ in range(10):
            payment = shop.pays(A_DAY)
            said = [done.result(timeout=60) for done in [pool.submit(work, payment), pool.submit(work, payment)]]
            assert sorted(str(one) for one in said) == ["Done(note='1 day')", "Done(note='issued before')"]
    rows = shop.issue_rows()
    assert [row.counter_after for row in rows] == [2 * n for n in range(1, 11)]
    device = Device()
    assert [device.types(issue.tokens[0]) for issue in shop.issues()] == ["added"] * 10
    assert (device.units, shop.credit()) == (10, francs(0))
    check(shop)


def test_two_payments_at_once_lose_nothing(any_db: Database, clock: FixedClock) -> None:
    shop = Shop.opened(any_db, clock, keypad=PLAIN)
    payments = [shop.pays(francs(2_000)) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda p: shop.prepaid.issue(shop.contract_id, f"payment:{p}", p), payments))
    device = Device()
    tokens = [token for issue in shop.issues() for token in issue.tokens]
    assert {device.types(token) for token in tokens} == {"added"}
    assert device.units == 8
    assert shop.credit() == francs(0)
    check(shop)


def test_a_meter_without_a_key_loses_nothing(clean_db: Database, clock: FixedClock) -> None:
    shop = Shop.opened(clean_db, clock)
    shop.pays(francs(3_000))
    (dead,) = shop.works()
    assert isinstance(dead, Dead)
    assert shop.home.meter.id in dead.why
    assert shop.credit() == francs(3_000)
    shop.prepaid.provision(shop.home.meter.id, PLAIN)
    assert shop.works() == [Done("2 day")]
    assert Device().types(shop.issues()[0].tokens[0]) == "added"


def test_a_starting_code_that_is_missing_or_a_seal_that_broke(shop: Shop) -> None:
    shop.pays(francs(3_000))
    with shop.db.begin() as session:
        session.execute(update(KeypadMeterRow).values(starting_code=None))
    (dead,) = shop.works()
    assert isinstance(dead, Dead)
    assert "starting code" in dead.why
    shop.prepaid.provision(shop.home.meter.id, PLAIN)
    shop.sealer = Sealer("another secret key")
    (dead,) = shop.works()
    assert isinstance(dead, Dead)
    assert "cannot be opened" in dead.why
    assert KEY.hex() not in dead.why
    assert (shop.credit(), shop.issues()) == (francs(3_000), [])
    shop.sealer = Sealer("a secret key of a test")
    assert shop.prepaid.take_up(shop.home.account_number)
    assert shop.works() == [Done("2 day")]


def test_the_first_price_takes_up_what_waited(clean_db: Database, clock: FixedClock) -> None:
    shop = Shop.opened(clean_db, clock, keypad=PLAIN, price=None)
    shop.pays(francs(3_000))
    (dead,) = shop.works()
    assert isinstance(dead, Dead)
    assert "no price of a day in CDF" in dead.why
    shop.prepaid.set_price("day", A_DAY, tax_basis_points=0, valid_from=date(2026, 3, 10), by="test")
    assert shop.works() == [Done("2 day")]


def test_what_waits_for_a_price_to_come_is_taken_up_on_its_first_day_at_the_site(
    clean_db: Database, clock: FixedClock
) -> None:
    shop = Shop.opened(clean_db, clock, keypad=PLAIN, price=None)
    shop.pays(francs(3_000))
    assert isinstance(shop.works()[0], Dead)
    shop.prepaid.set_price("day", francs(3_000), tax_basis_points=0, valid_from=date(2026, 3, 20), by="test")
    shop.pays(francs(1_500))
    begins = datetime(2026, 3, 19, 23, 0, tzinfo=UTC)
    (later,) = shop.works()
    assert isinstance(later, Later)
    assert later.business_at == begins, "midnight in Kinshasa"
    shop.clock.advance(hours=1)
    assert shop.works() == []
    # A price that begins sooner is what they wait for now.
    shop.prepaid.set_price("day", A_DAY, tax_basis_points=0, valid_from=date(2026, 3, 15), by="test")
    shop.clock.advance(days=5)
    assert shop.works() == [Done("3 day")]
    shop.clock.advance(days=5)
    assert set(shop.works()) == {Done("not enough for one unit")}
    check(shop)


def test_a_price_counts_from_its_day_on_and_not_before(shop: Shop) -> None:
    with pytest.raises(PriceRefused):
        shop.prepaid.set_price("day", A_DAY, tax_basis_points=0, valid_from=date(2026, 3, 9), by="test")
    shop.prepaid.set_price("day", francs(3_000), tax_basis_points=0, valid_from=date(2026, 3, 12), by="test")
    for expected in (4, 2):
        shop.pays(francs(6_000))
        shop.works()
        assert shop.issues()[-1].quantity == expected
        shop.clock.advance(days=2)
    assert [price.version for price in shop.prepaid.prices()] == [2, 1]


def test_nobody_makes_tokens_for_this_meter_yet(clean_db: Database, clock: FixedClock) -> None:
    shop = Shop.opened(clean_db, clock, control_kind="sts_token")
    shop.pays(francs(3_000))
    (dead,) = shop.works()
    assert isinstance(dead, Dead)
    assert "sts_token" in dead.why
    with pytest.raises(NotProvisioned):
        shop.prepaid.provision(shop.home.meter.id, PLAIN)


@pytest.mark.parametrize("keypad", [Keypad(KEY[:15], CODE), Keypad(KEY, 0), Keypad(KEY, 1_000_000_000)])
def test_a_key_that_no_device_has_is_refused(shop: Shop, keypad: Keypad) -> None:
    with pytest.raises(BadKey):
        shop.prepaid.provision(shop.home.meter.id, keypad)


def test_a_counter_never_goes_back(shop: Shop) -> None:
    shop.pays(francs(3_000))
    shop.works()
    shop.prepaid.provision(shop.home.meter.id, PLAIN)
    shop.pays(francs(3_000))
    shop.works()
    assert [row.counter_after for row in shop.issue_rows()] == [2, 4]


def test_a_reversal_after_the_token_left_is_a_debt_that_the_office_sees(shop: Shop) -> None:
    payment = shop.pays(francs(3_000))
    shop.works()
    shop.reverses(payment)
    assert shop.credit() == francs(-3_000)
    (short,) = shop.prepaid.short()
    assert (short.contract_id, short.missing) == (shop.contract_id, francs(3_000))
    assert shop.short_cases() == [shop.contract_id]
    numbers = {shop.prepaid.open_short_case(shop.contract_id, payment) for _ in range(2)}
    with shop.db.read() as session:
        (case,) = session.scalars(select(CaseRow)).all()
    assert ({case.number}, case.contract_id, case.phone) == (numbers, shop.contract_id, None)
    assert shop.payment(payment).receipt_number in case.body
    assert "-3 000 FC" in case.body
    assert len(shop.issues()) == 1, "what left is not taken back"
    # The next money fills the hole first: nothing is issued for it until something is left.
    shop.pays(francs(4_000))
    assert shop.works() == [Done("not enough for one unit")]
    shop.pays(francs(500))
    assert shop.works() == [Done("1 day")]
    assert shop.prepaid.short() == []
    check(shop)


def test_a_reversal_before_the_token_was_made_leaves_nothing_to_issue(shop: Shop) -> None:
    shop.reverses(shop.pays(francs(3_000)))
    assert shop.works() == [Done("not enough for one unit")]
    assert (shop.prepaid.short(), shop.short_cases()) == ([], [])


@pytest.mark.parametrize("back", [RefundFailed, RefundReturned])
def test_a_refund_that_came_back_does_not_become_tokens_by_itself(
    db: Database, clock: FixedClock, back: type[RefundFailed | RefundReturned]
) -> None:
    shop = Shop.opened(db, clock)
    payment, money = shop.pays(francs(3_000)), francs(3_000)
    shop.works()
    events: list[Event] = [RefundOwed(key="r", contract_id=shop.contract_id, amount=money)]
    if back is RefundReturned:
        events.append(RefundPaid(key="r:paid", contract_id=shop.contract_id, wallet="vodacom", amount=money))
    events.append(back(key="r:back", payment_id=payment, wallet="vodacom", contract_id=shop.contract_id, amount=money))
    for one in events:
        with shop.db.begin() as session:
            post(session, one, clock=clock)
        if one is events[0]:
            shop.prepaid.provision(shop.home.meter.id, PLAIN)
    assert (shop.works(), shop.credit(), shop.issues()) == ([], money, []), "it can be refunded again"
    assert shop.prepaid.take_up(shop.home.account_number), "or the office gives it as tokens"
    assert shop.works() == [Done("2 day")]
    check(shop)


def test_a_radio_meter_gets_supply_and_no_token(clean_db: Database, clock: FixedClock) -> None:
    shop = Shop.opened(clean_db, clock, control_kind="mqtt_relay")
    with shop.db.begin() as session:
        session.add(
            MeterDesiredRow(
                meter_id=shop.home.meter.id, version=4, supply="off", reason=NO_CREDIT, set_by="test",
                set_at=clock.now(),
            )
        )  # fmt: skip
    shop.pays(francs(3_000))
    assert not shop.staged()
    with shop.db.read() as session:
        (command,) = session.scalars(select(RelayCommandRow)).all()
    assert (command.supply, command.version, command.reason) == ("on", 5, "paid")
    assert shop.credit() == francs(3_000)


def test_no_token_in_what_is_logged_or_printed(shop: Shop) -> None:
    shop.pays(francs(3_000))
    (done,) = shop.works()
    (issue,) = shop.issues()
    assert issue.tokens[0] not in f"{done!r}{issue!r}"
    assert KEY.hex() not in repr(PLAIN)
    assert str(KEY) not in repr(PLAIN)


def test_the_callers_snapshot_has_the_newest_tokens_and_what_is_left(shop: Shop) -> None:
    for _ in range(2):
        shop.pays(francs(4_500))
        shop.works()
    seen = Customers(shop.db, shop.clock).snapshot(shop.home.phone).contracts[0].prepaid
    newest = shop.issues()[-1]
    assert seen is not None
    assert (seen.tokens, seen.quantity, seen.unit) == (newest.tokens, 3, "day")
    assert (seen.issued_at, seen.paid_until) == (newest.issued_at, shop.clock.now() + timedelta(days=6))


def test_the_snapshot_has_the_last_tokens_of_all_top_ups(shop: Shop) -> None:
    """Nine were never typed: the menu has the eight that the device takes in any order, and it takes them all."""
    customers = Customers(shop.db, shop.clock)
    for units in (5, 4, 3, 2, 1, 1, 995 * 2 + 7):
        shop.pays(Money(A_DAY.minor * units, "CDF"))
        shop.works()
    every = [token for issue in shop.issues() for token in issue.tokens]
    seen = customers.snapshot(shop.home.phone).contracts[0].prepaid
    assert seen is not None
    assert (len(every), list(seen.recent)) == (9, every[-8:])
    assert seen.recent[-3:] == seen.tokens
    for tokens in (seen.recent, seen.recent[::-1]):
        device = Device()
        assert [device.types(token) for token in tokens] == ["added"] * 8


def test_a_large_top_up_hides_nothing_of_the_one_before(shop: Shop) -> None:
    for _ in range(3):
        shop.pays(Money(A_DAY.minor * 995 * 8, "CDF"))
        shop.works()
    seen = Customers(shop.db, shop.clock).snapshot(shop.home.phone).contracts[0].prepaid
    assert seen is not None
    assert seen.recent == tuple(token for issue in shop.issues()[1:] for token in issue.tokens)
    device = Device()
    assert [device.types(token) for token in seen.recent] == ["added"] * 16


def test_another_device_on_the_wall_leaves_the_tokens_of_the_old_one_out(shop: Shop) -> None:
    shop.pays(A_DAY)
    shop.works()
    with shop.db.begin() as session:
        new = MeterRow(id="MW24099999", site_id=shop.home.contract.site_id, control_kind="openpaygo_token")
        new.installed_on = date(2026, 3, 10)
        session.add(new)
        session.flush()
        session.execute(update(ContractRow).values(meter_id=new.id))
    shop.prepaid.provision("MW24099999", replace(PLAIN, starting_code=CODE - 1))
    shop.pays(A_DAY)
    shop.works()
    seen = Customers(shop.db, shop.clock).snapshot(shop.home.phone).contracts[0].prepaid
    assert seen is not None
    assert seen.recent == seen.tokens == shop.issues()[-1].tokens


def test_credit_that_the_device_cannot_take_at_once_is_named(clean_db: Database, clock: FixedClock) -> None:
    shop = Shop.opened(clean_db, clock, price=None)
    shop.prepaid.set_price("kwh", francs(500), tax_basis_points=0, valid_from=date(2026, 3, 10), by="test")
    most = shop.prepaid.provision(shop.home.meter.id, replace(PLAIN, unit="kwh", divider=200))
    assert most == 32
    for amount in (francs(500 * 32), francs(50_000)):
        shop.pays(amount)
        assert shop.works() == [Done("32 kwh")]
    exact, capped = shop.texts()
    assert "34 000" in capped.body
    assert shop.credit() == francs(34_000)
    assert grouped(shop.issues()[0].tokens[0]) in exact.body
    assert "FC" not in exact.body
    check(shop)
