"""Readings that nobody believes, meters out of step, tariffs and prices, for the pages about them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from core.customers.tables import ContractRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.money import Money
from core.readings.model import ESTIMATED, Point
from core.sealing import Sealer
from core.services.prepaid import Keypad, Prepaid
from core.services.prepaid_use import PrepaidUse
from core.services.readings import Readings
from core.services.supply import Supply
from core.services.tariffs import Tariffs
from core.settlement import post
from core.settlement.dunning import off_still_due
from core.settlement.events import WalletMoney
from core.supply.commands import ON_LIFE, open_task, want_supply
from meters.registry import TOKEN_MAKERS
from tests import town
from tests.admin.console_town import SECRET

BODY: dict[str, Any] = {
    "blocks": [
        {"upto_kwh": 50, "per_kwh": "70"},
        {"upto_kwh": 150, "per_kwh": "140"},
        {"per_kwh": "165.5"},
    ],
    "standing": "3000",
    "levies": [{"code": "vat", "name": "TVA", "percent": "16", "spares_social": True}],
}


def tariffs(db: Database, clock: FixedClock) -> None:
    """A tariff by consumption with a version to come, a subscription, and prepaid by the kWh."""
    books = Tariffs(db, clock)
    books.add("BT-CDF", name="Basse tension", kind="consumption", currency="CDF", valid_from=date(2026, 1, 1),
              body=BODY, by="test")  # fmt: skip
    dearer = {**BODY, "standing": "3500"}
    books.add("BT-CDF", name="Basse tension", kind="consumption", currency="CDF", valid_from=date(2026, 4, 1),
              body=dearer, by="test")  # fmt: skip
    vat = BODY["levies"][0] | {"spares_social": False}
    books.add("ABO-CDF", name="Abonnement", kind="monthly", currency="CDF", valid_from=date(2026, 1, 1),
              body={"subscription": "28500", "levies": [vat]}, by="test")  # fmt: skip
    books.add("PRE-CDF", name="Prépayé", kind="prepaid", currency="CDF", valid_from=date(2026, 1, 1),
              body={"unit": "kwh"}, by="test")  # fmt: skip


def prepaid_of(db: Database, clock: FixedClock) -> Prepaid:
    return Prepaid(db, clock, Sealer(SECRET), TOKEN_MAKERS)


def prices(db: Database, clock: FixedClock) -> Prepaid:
    prepaid = prepaid_of(db, clock)
    each = Money.units(150, "CDF")
    prepaid.set_price("kwh", each, tax_basis_points=1_600, valid_from=date(2026, 1, 1), by="test")
    return prepaid


def held(db: Database, clock: FixedClock) -> town.Home:
    """A home whose newest reading is a jump; before it an estimate, before that two weeks of use."""
    with db.begin() as session:
        home = town.home(session, kind="consumption")
    readings, now = Readings(db, clock), clock.now()
    points = [Point(now - timedelta(days=15 - n), 1_000_000 + 4_200 * n) for n in range(14)]
    readings.take(home.meter.id, points, source="mqtt")
    guess = Point(now - timedelta(hours=20), 1_060_000, ESTIMATED)
    readings.take(home.meter.id, [guess], source="csv", by="office")
    readings.take(home.meter.id, [Point(now - timedelta(hours=1), 1_960_400)], source="mqtt")
    return home


def off(db: Database, clock: FixedClock, home: town.Home, *, reason: str = "nonpayment") -> None:
    """Supply wanted off, and the meter has not said so yet."""
    now = clock.now()
    with db.begin() as session:
        town.heard(session, home.meter, at=clock.real_now() - timedelta(hours=3))
        want_supply(
            session,
            clock=clock,
            meter_id=home.meter.id,
            supply="off",
            reason=reason,
            contract_id=home.contract.id,
            not_before=now,
            not_after=now + ON_LIFE,
            set_by="cut_batch",
        )
        open_task(session, clock=clock, kind="relay_fault", key=home.meter.id, meter_id=home.meter.id,
                  contract_id=home.contract.id, detail="The relay did not follow.")  # fmt: skip


def prepaid_homes(db: Database, clock: FixedClock) -> tuple[town.Home, town.Home]:
    """(a radio meter whose credit is used up by readings, a keypad with tokens)."""
    prepaid = prices(db, clock)
    with db.begin() as session:
        radio = town.home(session, name="Ilunga Prépayé", kind="prepaid")
        keypad = town.home(session, name="Bahati Clavier", kind="prepaid", control_kind="openpaygo_token")
        session.get_one(ContractRow, radio.contract.id).opened_on = clock.now().date()
        town.heard(session, radio.meter, at=clock.real_now())
        for home in (radio, keypad):
            payment = town.payment(session, home.contract, Money.units(9_000, "CDF"))
            event = WalletMoney(key=f"payment:{payment.id}", payment_id=payment.id, wallet="vodacom",
                                contract_id=home.contract.id, amount=Money.units(9_000, "CDF"))  # fmt: skip
            post(session, event, clock=clock)
    pad = Keypad(bytes.fromhex("dac86b1a29ab82edc5fbbc41ec9530f6"), 516_959_010, unit="kwh")
    prepaid.provision(keypad.meter.id, pad)
    prepaid.issue(keypad.contract.id, "test")
    readings, use = Readings(db, clock), PrepaidUse(db, clock)
    readings.take(radio.meter.id, [Point(clock.now(), 500_000)], source="mqtt")
    use.run()
    clock.advance(hours=2)
    readings.take(radio.meter.id, [Point(clock.now(), 512_345)], source="mqtt")
    use.charge(radio.contract.id)
    return radio, keypad


def supply_of(db: Database, clock: FixedClock) -> Supply:
    return Supply(db, clock, sealer=Sealer(SECRET), off_still_due=off_still_due)
