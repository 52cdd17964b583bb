"""Billing months at the console: ordered, watched, left out, what jumped. Money at the counter: booked once."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from admin.invoice_words import LEFT_OUT, REFUSALS
from core.billing.run_tables import BillingOrderRow, CreditNoteRow, LeftOutRow
from core.billing.tables import BillingRunRow, InvoiceRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.money import Money
from core.outbox import Done, OutboxRow
from core.payments.counter_tables import DeclaredPaymentRow
from core.payments.tables import PaymentRow
from core.services import billing_orders, hand_invoices
from core.staff.tables import AuditRow
from tests import town
from tests.admin.conftest import post
from tests.admin.console_town import Console
from tests.admin.invoices_town import sent
from tests.admin.test_console_pages import english

As = Callable[[str], FlaskClient]
KEY = "a" * 32
PAYMENT = "6f1c1c0e-0000-4000-8000-00000000000{}"
ORDERS = "/admin/invoices/months/orders"
MARCH = "/admin/invoices/months/2026-03"


@pytest.fixture
def home(db: Database) -> town.Home:
    with db.begin() as session:
        return town.home(session, name="Mbuyi Kalala")


def test_a_month_is_ordered_and_watched(db: Database, home: town.Home, console: Console, as_role: As) -> None:
    finance = english(as_role("finance"))
    form = {"act": "draft", "month": "2026-03", "agency": "", "key": KEY}
    assert post(as_role("office"), ORDERS, **form)[0] == 403
    assert post(finance, ORDERS, **form) == (303, f"{MARCH}?done=ordered")
    assert post(finance, ORDERS, **form)[0] == 303, "sent twice"
    assert post(finance, ORDERS, **(form | {"key": "b" * 32}))[0] == 409
    with db.read() as session:
        (order,) = session.scalars(select(BillingOrderRow))
        (errand,) = session.scalars(select(OutboxRow))
        assert (errand.kind, errand.body) == ("billing.order", {"order_id": order.id})
        assert "billing.draft" in set(session.scalars(select(AuditRow.act)))
        assert session.scalar(select(func.count()).select_from(InvoiceRow)) == 0, "never in the web request"
    answer = finance.get(MARCH)
    assert answer.headers["Refresh"] == "5"
    assert "waiting" in answer.text
    while not isinstance(console.invoices.orders.carry_on(order.id), Done):
        pass
    answer = finance.get(MARCH)
    assert "Refresh" not in answer.headers
    # A contract without a tariff.
    for part in ("the contract has no tariff", "mend the contract", f'"/admin/customers/{home.customer.id}"'):
        assert part in answer.text
    assert "the contract has no tariff" in finance.get(f"{MARCH}/left-out.csv").text
    assert '"/admin/invoices/months/2026-03"' in finance.get("/admin/invoices/months").text
    assert finance.get("/admin/invoices/months.csv").text.count("2026-03") == 1


def test_orders_that_make_no_sense(home: town.Home, as_role: As) -> None:
    finance = english(as_role("finance"))
    form = {"act": "draft", "month": "2026-03", "agency": "", "key": KEY}
    assert post(finance, ORDERS, **(form | {"act": "burn"}))[0] == 404
    assert post(finance, ORDERS, **(form | {"key": "x"}))[0] == 404
    status, html = post(finance, ORDERS, **(form | {"month": "2031-01"}))
    assert (status, "no month that has begun" in html) == (409, True)
    assert post(finance, ORDERS, **(form | {"month": "soon"}))[0] == 409
    assert post(finance, ORDERS, **(form | {"agency": "NOWHERE"}))[0] == 409
    status, html = post(finance, ORDERS, **(form | {"act": "send"}))
    assert (status, "looked at it first" in html) == (400, True)
    assert finance.get("/admin/invoices/months/2026-13").status_code == 404
    assert post(finance, f"{ORDERS}/99/stop", month="2026-03")[0] == 409


def test_a_person_stops_an_order(db: Database, home: town.Home, as_role: As) -> None:
    finance = english(as_role("finance"))
    post(finance, ORDERS, act="validate", month="2026-03", agency="", key=KEY)
    assert f"{ORDERS}/1/stop" in finance.get(MARCH).text
    assert post(finance, f"{ORDERS}/1/stop", month="2026-03")[0] == 303
    assert "about to stop" in finance.get(MARCH).text
    with db.read() as session:
        assert "billing.stop" in set(session.scalars(select(AuditRow.act)))


def test_what_jumped_stands_before_what_is_sent(db: Database, clock: FixedClock, as_role: As) -> None:
    with db.begin() as session:
        run = BillingRunRow(period="2026-03", started_at=clock.now(), started_by="finance", made=3)
        session.add(run)
        session.flush()
        for n, (before, now) in enumerate(((10_000, 16_000), (10_000, 14_900), (10_000, 2_000)), start=1):
            home = town.home(session, name=f"Client {n}")
            for period, units in (("2026-02", before), ("2026-03", now)):
                row = town.invoice(
                    session, home.contract, total=Money.units(units, "CDF"), state="draft", period=period
                )
                row.run_id = run.id
        session.add(LeftOutRow(contract_id=1, period="2026-03", run_id=run.id, reason="meter_changed", detail="MW1"))
    html = english(as_role("office")).get(MARCH).text
    assert [part in html for part in ("+60 %", "-80 %", "+49 %")] == [True, True, False]
    assert html.index("-80 %") < html.index("+60 %"), "the largest difference first"
    assert "32 900 FC" in html
    assert "month before: 30 000 FC" in html
    assert "/admin/invoices/new?account=" in html, "the old meter is billed by hand"
    assert ORDERS not in html, "the office only looks"
    assert "Validate 3 drafts" in english(as_role("finance")).get(MARCH).text


def test_every_code_has_its_words() -> None:
    from typing import get_args

    from core.billing.run_model import Reason

    assert set(LEFT_OUT) == set(get_args(Reason))
    for module in (billing_orders.OrderRefused, hand_invoices.HandRefused):
        said = (module.__doc__ or "").partition("`code`:")[2].strip(" .\n").split(", ")
        assert {word.split(".")[0] for word in said} <= set(REFUSALS)


def payments(db: Database) -> list[PaymentRow]:
    with db.read() as session:
        return list(session.scalars(select(PaymentRow)))


def test_cash_is_booked_once_however_often_the_form_is_sent(
    db: Database, clock: FixedClock, home: town.Home, as_role: As
) -> None:
    one, office = sent(db, clock, home), english(as_role("office"))
    assert office.get("/admin/cash?account=12").status_code == 404
    assert "28 500" in office.get(f"/admin/cash?account={home.account_number}").text
    form = {"account": home.account_number, "key": PAYMENT.format(1), "amount": "10 000", "way": "cash"}
    assert post(office, "/admin/cash", **(form | {"amount": "x"}))[0] == 400
    assert post(office, "/admin/cash", **form) == (303, f"/admin/cash?done={PAYMENT.format(1)}")
    assert post(office, "/admin/cash", **form)[0] == 303
    status, html = post(office, "/admin/cash", **(form | {"amount": "20 000"}))
    assert (status, "used already" in html) == (409, True)
    (paid,) = payments(db)
    assert (paid.wallet, paid.amount_minor) == ("cash", 1_000_000)
    with db.read() as session:
        assert session.get_one(InvoiceRow, one).paid_minor == 1_000_000
        assert {"payment.declared", "payment.confirmed"} <= set(session.scalars(select(AuditRow.act)))
    html = office.get(f"/admin/cash?done={PAYMENT.format(1)}").text
    assert paid.receipt_number in html
    assert f"/admin/receipts/{PAYMENT.format(1)}.pdf" in html
    assert "Cash" in office.get(f"/admin/customers/{home.customer.id}").text
    assert post(as_role("viewer"), "/admin/cash", **form)[0] == 403


def test_bank_money_needs_a_second_person(db: Database, clock: FixedClock, home: town.Home, as_role: As) -> None:
    sent(db, clock, home)
    office, finance = english(as_role("office")), english(as_role("finance"))
    form = {
        "account": home.account_number, "key": PAYMENT.format(2), "amount": "28500", "way": "bank",
        "paid_on": "2026-03-09",
    }  # fmt: skip
    status, html = post(finance, "/admin/cash", **form)
    assert (status, "the reference of its statement" in html) == (409, True)
    assert post(finance, "/admin/cash", **(form | {"reference": "RAW 417"}))[0] == 303
    assert payments(db) == []
    assert "Another person must confirm it" in finance.get(f"/admin/cash?done={PAYMENT.format(2)}").text
    where = f"/admin/cash/{PAYMENT.format(2)}/confirm"
    assert where not in finance.get("/admin/cash").text
    assert "RAW 417" in finance.get("/admin/cash.csv").text
    assert post(finance, where)[0] == 409, "whoever declared it cannot confirm it"
    assert post(office, where)[0] == 403
    second = english(as_role("finance2"))
    assert where in second.get("/admin/cash").text
    assert post(second, where)[0] == 303
    assert post(second, where)[0] == 303, "pressed twice"
    (paid,) = payments(db)
    assert (paid.wallet, paid.provider_txn_id) == ("bank", "RAW 417")
    with db.read() as session:
        assert session.scalars(select(DeclaredPaymentRow.confirmed_by)).one() == "finance2"
    assert post(second, f"/admin/cash/{PAYMENT.format(9)}/confirm")[0] == 404


def test_an_invoice_is_found_by_its_number(db: Database, clock: FixedClock, home: town.Home, as_role: As) -> None:
    one, viewer = sent(db, clock, home), as_role("viewer")
    with db.begin() as session:
        session.get_one(InvoiceRow, one).number = "2026-KIN-000123"
        note = CreditNoteRow(
            number="A2026-KIN-00012", invoice_id=one, currency="CDF", amount_minor=100, tax_minor=0, reason="x",
            issued_on=date(2026, 3, 10), issued_at=clock.now(), issued_by="finance",
        )  # fmt: skip
        session.add(note)
    for typed in ("2026-kin-000123", "A2026-KIN-00012"):
        answer = viewer.get(f"/admin/search?q={typed}")
        assert (answer.status_code, answer.location) == (303, f"/admin/customers/{home.customer.id}")


def test_the_customers_page_leads_to_invoices_and_to_the_counter(home: town.Home, as_role: As) -> None:
    html = as_role("office").get(f"/admin/customers/{home.customer.id}").text
    assert f"/admin/invoices?q={home.account_number}" in html
    assert f"/admin/cash?account={home.account_number}" in html
    assert "/admin/cash" not in as_role("viewer").get(f"/admin/customers/{home.customer.id}").text


def test_each_reason_leads_to_what_mends_it(db: Database, clock: FixedClock, as_role: As) -> None:
    mended = {
        "reading_held": "/admin/readings",
        "no_reading": "/admin/meters/MW1",
        "no_price": "/admin/tariffs",
        "billed_later": "/admin/invoices?q=",
        "no_tariff": "/admin/customers/",
    }
    with db.begin() as session:
        run = BillingRunRow(period="2026-03", started_at=clock.now(), started_by="finance")
        session.add(run)
        session.flush()
        for reason in mended:
            home = town.home(session)
            session.add(
                LeftOutRow(
                    contract_id=home.contract.id, period="2026-03", run_id=run.id, reason=reason,
                    detail="MW1" if reason == "no_reading" else "",
                )
            )  # fmt: skip
    html = english(as_role("office")).get(MARCH).text
    for reason, address in mended.items():
        what = LEFT_OUT[reason][1]
        assert re.search(f'href="{re.escape(address)}[0-9]*">{what}<', html), reason
