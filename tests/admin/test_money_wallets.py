"""The wallets as the console shows them, and the table of numbers that the office edits."""

from __future__ import annotations

import dataclasses

import pytest

from core.db import Database
from core.kernel.clock import FixedClock
from tests import town
from tests.admin import console_town, money_town
from tests.admin.conftest import post
from tests.admin.console_town import Console
from tests.admin.test_money_suspense import logged_in


@pytest.fixture
def home(db: Database, clock: FixedClock) -> town.Home:
    home = console_town.everything_happened(db, clock)
    money_town.trouble(db, clock)
    return home


def test_each_wallet_says_how_it_fares_and_what_it_can(home: town.Home, console: Console) -> None:
    html = logged_in(console, "office").get("/admin/money/wallets").text
    for part in (
        "left alone until 09:02:00", "well", "50 %", "1 of 2", "2 min", "takes CDF, USD", "cannot give money back",
        "can give back a whole payment", "its callbacks are signed", "from 100 FC to 2 500 000 FC",
        "can be asked only by its own number", "hands out its report by itself",
    ):  # fmt: skip
        assert part in html, part


def test_a_brand_that_nobody_collects_for_is_said(db: Database, clock: FixedClock) -> None:
    console = console_town.build(db, clock)
    money = dataclasses.replace(console.money, routes={"mpesa": ("vodacom",), "orange": ("orange",)})
    other = dataclasses.replace(
        console,
        app=console_town.app_of(
            clock,
            console.staff,
            console.desk,
            money,
            console.agents,
            console.links,
            console.cases,
            console.code,
            console.emails,
            console.queues,
            console.invoices,
        ),
        money=money,
    )
    html = logged_in(other, "office").get("/admin/money/wallets").text
    assert "Nobody collects for Orange Money" in html


def test_the_office_writes_numbers_down_and_takes_them_out(home: town.Home, console: Console) -> None:
    client = logged_in(console, "office")
    status, location = post(client, "/admin/money/numbers", prefix="+243 80", operator="Supercell", brand="airtel")
    assert status == 303
    assert "Supercell" in client.get(location).text
    assert console.money.routing.brand_of("+243801234567") == "airtel"
    entry = console.staff.newest_audit()[0]
    assert (entry.actor, entry.act, entry.subject) == ("office", "number_range.set", "24380")
    assert post(client, "/admin/money/numbers/remove", prefix="24380")[0] == 303
    assert console.money.routing.brand_of("+243801234567") != "airtel"
    status, html = post(client, "/admin/money/numbers/remove", prefix="24380")
    assert (status, "No range of ours begins with 24380." in html) == (409, True)


@pytest.mark.parametrize(
    ("prefix", "operator", "brand"),
    [("0", "X", ""), ("2438123456789", "X", ""), ("24381", "", ""), ("24381", "X", "paypal"), ("abc", "X", "")],
)
def test_ranges_that_cannot_be_are_refused_with_what_was_typed(
    home: town.Home, console: Console, prefix: str, operator: str, brand: str
) -> None:
    status, html = post(
        logged_in(console, "office"), "/admin/money/numbers", prefix=prefix, operator=operator, brand=brand
    )
    assert status == 409
    assert 'role="alert"' in html
    assert f'name="prefix" value="{prefix}"' in html


def test_a_viewer_changes_nothing(home: town.Home, console: Console) -> None:
    client = logged_in(console, "viewer")
    assert post(client, "/admin/money/numbers", prefix="24380", operator="X", brand="")[0] == 403
