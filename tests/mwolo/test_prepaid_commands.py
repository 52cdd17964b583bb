"""`mwolo prepaid`: a price, a keypad, what is short; and a key that is typed wrong is not repeated."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.money import Money
from core.outbox import Done
from core.services.prepaid_use import PrepaidUse
from mwolo import prepaid_commands
from tests import town
from tests.core.prepaid.shop import CODE, KEY, Shop


@pytest.fixture
def shop(db: Database, clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    shop = Shop.opened(db, clock, price=None)
    monkeypatch.setattr(prepaid_commands, "_wiring", lambda: _wired(shop, db, clock))
    return shop


def _wired(shop: Shop, db: Database, clock: FixedClock) -> SimpleNamespace:
    return SimpleNamespace(prepaid=shop.prepaid, prepaid_use=PrepaidUse(db, clock), clock=clock)


def run(*words: str, typed: str = "") -> Result:
    return CliRunner().invoke(prepaid_commands.prepaid, list(words), input=typed)


def test_from_nothing_to_the_first_token(shop: Shop) -> None:
    shop.pays(Money.units(3_000, "CDF"))
    shop.works()
    assert "1 500 FC a day" in run("price", "1500").output
    set_up = run("keypad", shop.home.meter.id, "--starting-code", str(CODE), typed=f"{KEY.hex()}\n")
    assert set_up.exit_code == 0
    assert KEY.hex() not in set_up.output
    assert Done("2 day") in shop.works()
    assert "2026-03-10  1 500 FC a day, 16 % tax (vat), version 1" in run("prices").output


def test_a_divider_with_which_tokens_hold_little_is_warned_of(shop: Shop) -> None:
    keypad = ("keypad", shop.home.meter.id, "--starting-code", str(CODE), "--unit", "kwh", "--divider")
    warned = [run(*keypad, divider, typed=f"{KEY.hex()}\n").output for divider in ("10", "200")]
    assert ["At most" in said for said in warned] == [False, True]
    assert "At most 32 kwh" in warned[1]


def test_what_is_typed_wrong_is_refused_and_not_repeated(shop: Shop) -> None:
    for typed in ("zz" * 16, "ab" * 4):
        refused = run("keypad", shop.home.meter.id, "--starting-code", "1", typed=f"{typed}\n")
        assert refused.exit_code == 1
        assert typed not in refused.output
    assert run("keypad", "nowhere", "--starting-code", "1", typed=f"{KEY.hex()}\n").exit_code == 1
    assert run("price", "12,5").exit_code == 1
    assert run("price", "0").exit_code == 1
    assert run("take-up", shop.home.account_number).exit_code == 1


def test_what_a_person_works_through(shop: Shop) -> None:
    run("price", "1500")
    run("keypad", shop.home.meter.id, "--starting-code", str(CODE), typed=f"{KEY.hex()}\n")
    payment = shop.pays(Money.units(3_000, "CDF"))
    assert run("take-up", shop.home.account_number).exit_code == 0
    shop.works()
    shop.reverses(payment)
    assert "3 000 FC missing" in run("short").output


def test_use_is_charged_on_demand(shop: Shop) -> None:
    with shop.db.begin() as session:
        town.home(session, kind="prepaid", phone="+243815550888")
    assert "Looked at 1 contracts: 0 charged" in run("use").output
    assert "1 without a price" in run("use").output
