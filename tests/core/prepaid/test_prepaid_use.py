"""Credit of a prepaid radio meter: used up once by its readings, told of, cut, and back with the next money."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import func, select

from core.billing.tables import DunningPolicyRow, HoldRow, TariffRow
from core.customers.tables import ContractRow, MeterRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.money import Money
from core.ledger import queries as ledger
from core.ledger.model import credit
from core.ledger.tables import AccountRow, TransferRow
from core.notices.tables import NoticeRow
from core.prepaid.tables import PrepaidMarkRow, PrepaidUseRow
from core.readings.model import ESTIMATED, TOTAL, Point
from core.readings.tables import ReadingRow
from core.sealing import Sealer
from core.services.prepaid import Prepaid
from core.services.prepaid_use import PrepaidUse, UseSettings
from core.services.readings import Readings
from core.services.supply import Supply
from core.settlement import post
from core.settlement.events import WalletMoney
from core.supply.model import MeterReport
from core.supply.tables import MeterDesiredRow, RelayCommandRow
from tests import town

KWH = Money.units(150, "CDF")
SETTINGS = UseSettings(low={"CDF": 200_000}, emergency={"CDF": 100_000})


@dataclass
class House:
    """A prepaid radio meter, what it reads, and who pays for it."""

    db: Database
    clock: FixedClock
    home: town.Home
    wh: int = 1_000_000
    use: PrepaidUse = field(init=False)

    def __post_init__(self) -> None:
        self.use = PrepaidUse(self.db, self.clock, SETTINGS)

    @property
    def id(self) -> int:
        return self.home.contract.id

    def reads(self, used_kwh: float = 0, *, quality: int = 0, at: datetime | None = None) -> None:
        """The register after so much more use, now."""
        self.wh += round(used_kwh * 1_000)
        point = Point(at or self.clock.now(), self.wh, quality)
        Readings(self.db, self.clock).take(self.home.meter.id, [point], source="mqtt")
        with self.db.begin() as session:
            if session.get(MeterDesiredRow, self.home.meter.id) is None:
                town.heard(session, self.home.meter, at=self.clock.real_now())

    def pays(self, units: int) -> None:
        with self.db.begin() as session:
            payment = town.payment(session, self.home.contract, Money.units(units, "CDF"))
            event = WalletMoney(
                key=f"payment:{payment.id}", payment_id=payment.id, wallet="vodacom", contract_id=self.id,
                amount=Money.units(units, "CDF"),
            )  # fmt: skip
            post(session, event, clock=self.clock)

    @property
    def held(self) -> int:
        with self.db.read() as session:
            return ledger.balance(session, credit(self.id), "CDF").minor

    @property
    def texts(self) -> list[str]:
        with self.db.read() as session:
            kinds = session.scalars(select(NoticeRow.kind).order_by(NoticeRow.id))
            return [kind for kind in kinds if kind != "payment.receipt"]

    def wanted(self) -> tuple[str, str] | None:
        with self.db.read() as session:
            row = session.get(MeterDesiredRow, self.home.meter.id)
            return (row.supply, row.reason) if row else None

    def uses(self) -> Sequence[PrepaidUseRow]:
        with self.db.read() as session:
            return session.scalars(select(PrepaidUseRow).order_by(PrepaidUseRow.seq)).all()

    def charged(self) -> int:
        """What the books say was used up."""
        with self.db.read() as session:
            earned = session.scalars(select(AccountRow.id).where(AccountRow.code.in_(("revenue", "tax_payable")))).all()
            rows = session.execute(
                select(TransferRow.debit_account_id, TransferRow.credit_account_id, TransferRow.amount_minor)
            )
            return sum((into in earned) * minor - (out in earned) * minor for out, into, minor in rows)

    def supply(self) -> Supply:
        off = self.use.off
        return Supply(
            self.db, self.clock, sealer=Sealer("a secret key of a test"), off_still_due=off.still_due,
            off_holds=off.holds,
        )  # fmt: skip


@pytest.fixture
def house(db: Database, clock: FixedClock) -> House:
    return opened(db, clock)


def opened(db: Database, clock: FixedClock, *, unit: str = "kwh", price: Money = KWH, protected: str = "") -> House:
    with db.begin() as session:
        home = town.home(session, kind="prepaid", control_kind="mqtt_relay")
        tariff = TariffRow(code="PRE", name="Prépayé", kind="prepaid", currency="CDF", valid_from=date(2026, 1, 1),
                           body={"unit": unit})  # fmt: skip
        session.add(tariff)
        session.flush()
        contract = session.get_one(ContractRow, home.contract.id)
        contract.tariff_id, contract.opened_on = tariff.id, date(2026, 3, 10)
        if protected:
            home.site.protected = protected
    prices = Prepaid(db, clock, Sealer("a secret key of a test"), {})
    prices.set_price(unit, price, tax_basis_points=1_600, valid_from=date(2026, 1, 1), by="test")  # type: ignore[arg-type]
    return House(db, clock, home)


def test_readings_use_the_credit_up_once(any_db: Database, clock: FixedClock) -> None:
    house = opened(any_db, clock)
    house.reads()
    house.pays(10_000)
    house.use.run()
    for _ in range(3):
        clock.advance(hours=8)
        house.reads(2.5)
        house.use.run()
        house.use.charge(house.id)
        house.use.charge(house.id)
    assert house.held == 1_000_000 - 3 * 37_500
    assert house.charged() == 3 * 37_500
    assert [row.until_wh - row.from_wh for row in house.uses()] == [2_500] * 3
    assert house.texts == []


def test_a_large_credit_is_charged_once_a_day_a_small_one_at_each_reading(house: House, clock: FixedClock) -> None:
    house.reads()
    house.pays(6_000)
    house.use.run()
    for _ in range(30):
        clock.advance(hours=1)
        house.reads(0.4)
        house.use.run()
    assert len(house.uses()) == 1
    clock.advance(hours=1)
    house.reads(18)
    house.use.run()
    assert len(house.uses()) == 2
    assert house.texts == ["prepaid.low"]


def test_what_is_less_than_a_franc_is_carried(house: House, clock: FixedClock) -> None:
    house.reads()
    house.pays(1_000)
    house.use.run()
    for _ in range(7):
        clock.advance(hours=1)
        house.reads(0.003)
        house.use.charge(house.id)
    # 21 Wh at 150 FC a kWh are 3,15 FC.
    assert house.charged() == 300
    assert sum(row.amount_minor for row in house.uses()) == 300
    assert house.uses()[-1].carry_after == 15_000


def test_late_doubled_and_estimated_readings_charge_nothing_twice(house: House, clock: FixedClock) -> None:
    house.reads()
    house.pays(10_000)
    house.use.run()
    began = clock.now()
    clock.advance(hours=10)
    house.reads(4)
    house.reads(0)
    house.use.charge(house.id)
    charged = house.charged()
    # Out of order: of a time that is charged already.
    Readings(house.db, clock).take(house.home.meter.id, [Point(began + timedelta(hours=5), house.wh - 2_000)],
                                   source="mqtt")  # fmt: skip
    house.use.charge(house.id)
    assert house.charged() == charged == 60_000
    # A guess costs nothing, and cuts nobody, however high it is.
    clock.advance(hours=10)
    Readings(house.db, clock).take(house.home.meter.id, [Point(clock.now(), house.wh + 15_000, ESTIMATED)],
                                   source="csv")  # fmt: skip
    house.use.charge(house.id)
    assert house.charged() == charged


@pytest.mark.parametrize("how", ["correct", "reject"])
def test_a_corrected_reading_gives_back_and_is_charged_anew(any_db: Database, clock: FixedClock, how: str) -> None:
    house = opened(any_db, clock)
    house.reads()
    house.pays(5_000)
    house.use.run()
    clock.advance(hours=2)
    house.reads(2)
    house.use.charge(house.id)
    clock.advance(hours=2)
    house.reads(18)
    clock.advance(hours=1)
    house.use.charge(house.id)
    assert house.held == 500_000 - 20 * 15_000
    readings = Readings(house.db, clock)
    wrong = readings.of_meter(house.home.meter.id, register=TOTAL)[0]
    if how == "correct":
        readings.correct(wrong.id, house.wh - 17_000, by="office", reason="a digit too many")
    else:
        readings.reject(wrong.id, by="office", reason="another meter")
    house.use.run()
    expected = (3 if how == "correct" else 2) * 15_000
    assert house.held == 500_000 - expected
    assert house.charged() == expected
    house.use.run()
    house.use.charge(house.id)
    assert house.charged() == expected
    assert [row.undone_at is not None for row in house.uses()][:2] == [False, True]


@pytest.mark.parametrize("wrong_kwh", [-900, 800])
@pytest.mark.parametrize("how", ["correct", "reject"])
def test_a_first_reading_that_was_wrong_charges_nobody(
    house: House, clock: FixedClock, how: str, wrong_kwh: int
) -> None:
    """Charging began at a register that a person put right: too low, and a customer would pay for years of another;
    too high, and energy would be free until the register had caught up."""
    house.reads(wrong_kwh)
    house.pays(10_000)
    house.use.run()
    clock.advance(hours=1)
    house.wh -= wrong_kwh * 1_000
    readings = Readings(house.db, clock)
    with house.db.read() as session:
        (wrong,) = session.scalars(select(ReadingRow)).all()
    if how == "correct":
        readings.correct(wrong.id, house.wh, by="office", reason="a digit forgotten")
    else:
        readings.reject(wrong.id, by="office", reason="a digit forgotten")
        house.reads()
        house.use.charge(house.id)
    clock.advance(hours=1)
    house.reads(3)
    house.use.charge(house.id)
    assert (house.held, house.charged()) == (1_000_000 - 3 * KWH.minor, 3 * KWH.minor)


def test_low_and_used_up_are_said_once_until_there_is_a_top_up(house: House, clock: FixedClock) -> None:
    house.reads()
    house.pays(3_000)
    house.use.run()
    said = []
    for used in (5, 3, 1, 8, 4, 1):
        clock.advance(hours=1)
        house.reads(used)
        house.use.run()
        said.append(house.texts[-1] if house.texts else "")
    assert house.texts == ["prepaid.low", "prepaid.used_up"]
    assert said == ["", "prepaid.low", "prepaid.low", "prepaid.low", "prepaid.used_up", "prepaid.used_up"]
    house.pays(10_000)
    house.use.run()
    clock.advance(hours=1)
    house.reads(60)
    house.use.run()
    assert house.texts[-1] == "prepaid.low"
    with house.db.read() as session:
        bodies = session.scalars(select(NoticeRow.body).where(NoticeRow.kind.startswith("prepaid."))).all()
    assert all(grouped in body for body in bodies for grouped in ("*123#",))


def until_used_up(house: House, clock: FixedClock, *, below: int = 1_200) -> None:
    """The emergency amount is gone too, on a Tuesday morning, and the customer was told."""
    house.reads()
    house.pays(1_500)
    house.use.run()
    clock.advance(minutes=30)
    house.reads((1_500 + below) / 150)
    house.use.run()


def test_off_needs_the_emergency_amount_a_fair_notice_and_a_permitted_hour(house: House, clock: FixedClock) -> None:
    house.reads()
    house.pays(1_500)
    house.use.run()
    clock.advance(minutes=30)
    # 500 FC below zero: within the emergency amount.
    house.reads(2_000 / 150)
    house.use.run()
    clock.advance(hours=3, minutes=45)
    house.reads()
    house.use.run()
    assert house.wanted() is None
    # It is its use that is below zero, not tokens that left: nobody's work.
    assert Prepaid(house.db, clock, Sealer("a secret key of a test"), {}).short() == []
    # Now below it: it is after two in the afternoon on Tuesday, and then it is night.
    clock.advance(hours=4)
    house.reads(4)
    for _ in range(13):
        assert house.use.run().cut == 0
        clock.advance(hours=1)
        house.reads()
    assert house.wanted() is None
    clock.advance(hours=2)
    house.reads()
    assert house.use.run().cut == 1
    assert house.wanted() == ("off", "no_credit")
    assert house.use.run().cut == 0
    with house.db.read() as session:
        [command] = session.scalars(select(RelayCommandRow)).all()
        assert (command.supply, command.reason, command.contract_id) == ("off", "no_credit", house.id)


@pytest.mark.parametrize("why", ["protected", "hold", "held reading", "silent", "brake"])
def test_the_guards_hold_a_prepaid_off(db: Database, clock: FixedClock, why: str) -> None:
    house = opened(db, clock, protected="health" if why == "protected" else "")
    until_used_up(house, clock)
    with db.begin() as session:
        if why == "hold":
            session.add(
                HoldRow(contract_id=house.id, kind="medical", from_at=clock.now(),
                        until_at=clock.now() + timedelta(days=9), by="office", reason="oxygen")
            )  # fmt: skip
    clock.advance(hours=4)
    if why == "silent":
        clock.advance(hours=48)
    else:
        house.reads()
    if why == "held reading":
        clock.advance(minutes=1)
        house.reads(2_000)
    if why == "brake":
        with db.begin() as session:
            newest = session.scalar(select(func.max(DunningPolicyRow.version))) or 0
            session.add(
                DunningPolicyRow(version=newest + 1, valid_from=date(2026, 3, 1), body={"off": {"brake": True}})
            )
    done = house.use.run()
    assert (done.cut, house.wanted()) == (0, None)
    assert done.held == 1


def test_the_off_goes_to_the_meter_and_money_brings_the_light_back(house: House, clock: FixedClock) -> None:
    until_used_up(house, clock)
    clock.advance(hours=4)
    house.reads()
    assert house.use.run().cut == 1
    supply = house.supply()
    key = supply.provision(house.home.meter.id)
    assert key
    [leased] = supply.lease_commands(10)
    assert (leased.supply, leased.reason) == ("off", "no_credit")
    supply.mark_sent(leased.id, leased.token)
    supply.take_reported(house.home.meter.id, MeterReport(leased.version, "off", "open", 0, 1, 0))
    assert house.texts[-1] == "supply.off"
    with house.db.read() as session:
        body = session.scalars(select(NoticeRow.body).order_by(NoticeRow.id.desc())).first() or ""
        assert "FC" not in body
    # Too little fills the hole first, and leaves it dark.
    house.pays(1_000)
    assert house.held == -20_000
    assert house.wanted() == ("off", "no_credit")
    house.pays(1_000)
    assert house.held == 80_000
    assert house.wanted() == ("on", "paid")


def test_light_that_went_off_for_a_wrong_reading_comes_back(house: House, clock: FixedClock) -> None:
    until_used_up(house, clock)
    clock.advance(hours=4)
    house.reads()
    assert house.use.run().cut == 1
    readings = Readings(house.db, clock)
    for wrong in readings.of_meter(house.home.meter.id)[:2]:
        readings.reject(wrong.id, by="office", reason="another meter")
    done = house.use.run()
    assert (done.corrected, house.held) == (1, 150_000)
    assert house.wanted() == ("on", "paid")


def test_whoever_topped_up_before_the_off_left_keeps_the_light(house: House, clock: FixedClock) -> None:
    until_used_up(house, clock)
    clock.advance(hours=4)
    house.reads()
    assert house.use.run().cut == 1
    supply = house.supply()
    supply.provision(house.home.meter.id)
    house.pays(1_000)
    assert house.wanted() == ("off", "no_credit")
    assert supply.lease_commands(10) == []
    assert house.wanted() == ("on", "off_not_due")


def test_days_are_charged_as_they_begin_and_dark_ones_are_free(db: Database, clock: FixedClock) -> None:
    house = opened(db, clock, unit="day", price=Money.units(1_000, "CDF"))
    house.pays(3_000)
    house.use.run()
    assert house.held == 200_000
    for _ in range(5):
        house.use.run()
    assert house.held == 200_000
    clock.advance(days=2)
    house.reads()
    house.use.run()
    assert house.held == 0
    assert house.texts == ["prepaid.low", "prepaid.used_up"]
    clock.advance(days=1)
    house.reads()
    house.use.run()
    assert house.held == -100_000
    # Friday: the policy permits nothing. Monday: dark from then on.
    clock.advance(days=3)
    house.reads()
    assert house.use.run().cut == 1
    owed = house.held
    clock.advance(days=4)
    house.use.run()
    assert house.held == owed
    house.pays(5_000)
    assert house.wanted() == ("on", "paid")
    before = house.held
    clock.advance(days=1)
    house.use.run()
    assert house.held == before - 100_000


def test_another_meter_begins_with_its_own_first_reading(house: House, clock: FixedClock) -> None:
    house.reads()
    house.pays(5_000)
    house.use.run()
    clock.advance(hours=3)
    house.reads(2)
    house.use.charge(house.id)
    with house.db.begin() as session:
        other = town.meter(session, house.home.site)
        session.get_one(ContractRow, house.id).meter_id = other.id
        other_id = other.id
    Readings(house.db, clock).take(other_id, [Point(clock.now(), 77_000_000)], source="mqtt")
    house.use.charge(house.id)
    clock.advance(hours=3)
    Readings(house.db, clock).take(other_id, [Point(clock.now(), 77_001_000)], source="mqtt")
    house.use.charge(house.id)
    assert house.held == 500_000 - 3 * 15_000
    with house.db.read() as session:
        assert session.get_one(PrepaidMarkRow, house.id).meter_id == other_id


def test_nobody_is_charged_for_what_was_before_and_without_a_price(db: Database, clock: FixedClock) -> None:
    with db.begin() as session:
        home = town.home(session, kind="prepaid", control_kind="mqtt_relay")
        keypad = town.home(session, kind="prepaid", control_kind="openpaygo_token", phone="+243815550777")
        session.get_one(ContractRow, home.contract.id).opened_on = date(2024, 1, 1)
    house = House(db, clock, home)
    for days in (40, 20, 2):
        house.reads(60, at=clock.now() - timedelta(days=days))
    assert house.use.run().no_price == 1
    assert house.use.run().looked_at == 1
    Prepaid(db, clock, Sealer("a secret key of a test"), {}).set_price(
        "kwh", KWH, tax_basis_points=0, valid_from=date(2026, 1, 1), by="test"
    )
    house.reads(1)
    house.use.run()
    assert house.uses() == []
    clock.advance(hours=30)
    house.reads(1)
    house.use.run()
    assert house.charged() == 15_000
    with db.read() as session:
        assert session.get(PrepaidMarkRow, keypad.contract.id) is None
        assert session.get_one(MeterRow, house.home.meter.id).control_kind == "mqtt_relay"
