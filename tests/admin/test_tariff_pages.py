"""Tariffs and prepaid prices in the console: what is in force, what it would cost, who has it, new versions."""

from __future__ import annotations

from datetime import date

import pytest
from sqlalchemy import select

from core.billing.tables import TariffRow
from core.customers.tables import ContractRow
from core.db import Database
from core.kernel.clock import FixedClock
from tests import town
from tests.admin import metering_town
from tests.admin.conftest import post
from tests.admin.console_town import Console
from tests.admin.test_money_suspense import logged_in

NEW = {
    "known": "yes", "code": "BT-CDF", "kind": "consumption", "currency": "CDF", "name": "Basse tension",
    "valid_from": "2026-05-01", "standing": "4 000", "upto1": "50", "price1": "72,5", "price2": "150",
    "levy1": "vat", "levyname1": "TVA", "percent1": "16", "on1-energy": "yes", "spares1": "yes",
}  # fmt: skip


def plain(html: str) -> str:
    return html.replace("\u00a0", " ")


def acts(console: Console) -> list[tuple[str, str, str]]:
    return [(e.actor, e.act, e.subject) for e in console.staff.newest_audit() if not e.act.startswith("staff.")]


def test_what_is_in_force_and_what_comes(console: Console, db: Database, clock: FixedClock) -> None:
    metering_town.tariffs(db, clock)
    client = logged_in(console, "viewer")
    html = plain(client.get("/admin/tariffs").text)
    assert "0 to 50 kWh: 70 FC a kWh" in html
    assert "new from 01/04/2026" in html
    assert "New: " not in html
    one = plain(client.get("/admin/tariffs/of/BT-CDF").text)
    assert one.index("From 01/04/2026") < one.index("From 01/01/2026")
    assert "to 31/03/2026" in one
    assert "165,5 FC" in one
    assert "the social block is free of it" in one
    assert client.get("/admin/tariffs/of/NOWHERE").status_code == 404
    assert client.get("/admin/settings/").text.count('href="/admin/tariffs"') == 1


def test_the_calculator_says_it_line_by_line(console: Console, db: Database, clock: FixedClock) -> None:
    metering_town.tariffs(db, clock)
    client = logged_in(console, "viewer")
    html = plain(client.get("/admin/tariffs/of/BT-CDF?kwh=180&days=30&on=2026-02-01").text)
    # 50 at 70, 100 at 140, 30 at 165,50; 3 000; 16 % of all but the first block.
    for amount in ("3 500 FC", "14 000 FC", "4 965 FC", "3 000 FC", "3 514 FC", "28 979 FC"):
        assert amount in html, amount
    assert "price of 01/04/2026" not in html
    assert "price of 01/04/2026" in client.get("/admin/tariffs/of/BT-CDF?kwh=180&days=30&on=2026-03-15").text
    for asked, said in (
        ("kwh=x&days=30", "Write kWh as a number"),
        ("kwh=1&days=0", "Write kWh as a number"),
        ("kwh=1&days=30&on=2025-12-30", "No version is in force then."),
        ("kwh=1&days=30&on=9999-12-31", "This is no date."),
    ):
        assert said in client.get(f"/admin/tariffs/of/BT-CDF?{asked}").text, asked


def test_a_new_version_is_written_and_no_older_one_changed(console: Console, db: Database, clock: FixedClock) -> None:
    metering_town.tariffs(db, clock)
    assert post(logged_in(console, "office"), "/admin/tariffs/new", **NEW)[0] == 403
    client = logged_in(console, "finance")
    form = client.get("/admin/tariffs/new?code=BT-CDF").text
    assert 'value="2026-04-02"' in form
    assert 'name="price3" value="165,5"' in form
    status, where = post(client, "/admin/tariffs/new", **NEW)
    assert (status, where) == (303, "/admin/tariffs/of/BT-CDF?done=new")
    with db.read() as session:
        rows = session.scalars(select(TariffRow).where(TariffRow.code == "BT-CDF").order_by(TariffRow.valid_from)).all()
    assert [row.valid_from for row in rows] == [date(2026, 1, 1), date(2026, 4, 1), date(2026, 5, 1)]
    assert rows[0].body == metering_town.BODY
    assert rows[2].body == {
        "standing": "4000",
        "blocks": [{"upto_kwh": 50, "per_kwh": "72.5"}, {"per_kwh": "150"}],
        "levies": [{"code": "vat", "name": "TVA", "percent": "16", "on": ["energy"], "spares_social": True}],
    }
    assert acts(console)[0] == ("finance", "tariff.version_added", "BT-CDF")


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"valid_from": "2026-03-09"}, 409, "begins today or later"),
        ({"valid_from": "2026-04-01"}, 409, "has a version from 01/04/2026 already"),
        ({"valid_from": ""}, 400, "This is no date."),
        ({"price1": "x"}, 409, "Block 1: a decimal number"),
        ({"upto2": "40"}, 409, "only it, has no end"),
        ({"upto2": "40", "price3": "1"}, 409, "ends above the one before"),
        ({"percent1": "160"}, 409, "Tax or levy 1: per cent between"),
        ({"kind": "monthly", "subscription": "5"}, 409, "of another kind or currency"),
        ({"kind": "weekly"}, 400, "Choose a kind"),
        ({"code": "../x"}, 400, "A code is letters"),
    ],
)
def test_what_the_rules_refuse_is_told_with_what_was_typed(
    console: Console, db: Database, clock: FixedClock, change: dict[str, str], status: int, said: str
) -> None:
    metering_town.tariffs(db, clock)
    got, html = post(logged_in(console, "finance"), "/admin/tariffs/new", **{**NEW, **change})
    assert (got, said in html) == (status, True), html[html.find("fault") : html.find("fault") + 300]
    assert 'value="Basse tension"' in html
    with db.read() as session:
        assert len(session.scalars(select(TariffRow)).all()) == 4


def test_new_codes_of_every_kind(console: Console, db: Database) -> None:
    client = logged_in(console, "finance")
    common = {"currency": "USD", "name": "Neuf", "valid_from": "2026-03-01"}
    for kind, fields in (("flat", {"flat": "12.5"}), ("monthly", {"subscription": "9"}), ("prepaid", {"unit": "day"})):
        assert client.get(f"/admin/tariffs/new?kind={kind}").status_code == 200
        form = {**common, **fields, "kind": kind, "code": f"N-{kind}"}
        assert post(client, "/admin/tariffs/new", **form)[0] == 303, kind
    assert "12,5 USD" in plain(client.get("/admin/tariffs").text)
    with db.read() as session:
        assert len(session.scalars(select(TariffRow)).all()) == 3


def test_who_has_it(console: Console, db: Database, clock: FixedClock) -> None:
    metering_town.tariffs(db, clock)
    with db.begin() as session:
        home = town.home(session, kind="consumption", name="Kabeya Tarif")
        row = session.scalars(select(TariffRow).where(TariffRow.code == "BT-CDF")).first()
        assert row is not None
        session.get_one(ContractRow, home.contract.id).tariff_id = row.id
    client = logged_in(console, "office")
    assert "1 contract" in client.get("/admin/tariffs/of/BT-CDF").text
    assert "Kabeya Tarif" in client.get("/admin/tariffs/of/BT-CDF/contracts").text
    assert "Kabeya Tarif" in client.get("/admin/tariffs/of/BT-CDF/contracts.csv").text
    assert "BT-CDF" in client.get("/admin/tariffs.csv").text
    assert acts(console)[0][1] == "tariffs.exported"


def test_prepaid_prices(console: Console, db: Database, clock: FixedClock) -> None:
    client = logged_in(console, "finance")
    assert "no prepaid price yet" in client.get("/admin/tariffs/prepaid").text
    form = {"unit": "kwh", "currency": "CDF", "price": "1 250,5", "tax": "16", "valid_from": "2026-03-10"}
    assert post(logged_in(console, "office"), "/admin/tariffs/prepaid", **form)[0] == 403
    assert post(client, "/admin/tariffs/prepaid", **form) == (303, "/admin/tariffs/prepaid?done=new")
    assert post(client, "/admin/tariffs/prepaid", **{**form, "price": "1300", "valid_from": "2026-04-01"})[0] == 303
    html = plain(client.get("/admin/tariffs/prepaid").text)
    assert "1 250,50 FC" in html
    assert html.count(">in force<") == 1
    assert html.count(">to come<") == 1
    for change, status, said in (
        ({"price": "0"}, 409, "A price is more than nothing"),
        ({"price": "1.234"}, 400, "two decimals at most"),
        ({"tax": "101"}, 409, "A price is more than nothing"),
        ({"unit": "litre"}, 400, "Choose a unit"),
        ({"valid_from": "2026-03-09"}, 400, "does not change the past"),
        ({"valid_from": "x"}, 400, "This is no date."),
    ):
        got, html = post(client, "/admin/tariffs/prepaid", **{**form, **change})
        assert (got, said in html) == (status, True), change
    assert "1 250,50 FC" in plain(client.get("/admin/tariffs/prepaid.csv").text)
    assert ("finance", "prepaid.price_added", "kwh CDF") in acts(console)
