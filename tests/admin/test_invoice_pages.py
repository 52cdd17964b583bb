"""The pages of invoices: found again, shown whole, validated, sent, credited, cancelled, given up, written by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from core.billing.run_tables import CreditNoteRow
from core.billing.tables import InvoiceLineRow, InvoiceRow, TariffRow
from core.customers.tables import ContractRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.money import Money
from core.ledger.model import credit
from core.ledger.queries import balance
from core.outbox import OutboxRow
from core.settlement import post as settle
from core.settlement.events import CashTaken
from core.staff.tables import AuditRow
from tests import town
from tests.admin.conftest import post
from tests.admin.invoices_town import sent, street
from tests.admin.test_console_pages import english
from tests.core.statements import statements_of

As = Callable[[str], FlaskClient]
LEVIES = {"subscription": "5000", "levies": [{"code": "vat", "name": "TVA", "percent": "16"}]}


@pytest.fixture
def home(db: Database) -> town.Home:
    with db.begin() as session:
        return town.home(session, name="Mbuyi Kalala")


def drafted(db: Database, home: town.Home, **more: object) -> int:
    with db.begin() as session:
        return town.invoice(session, home.contract, state="draft", **more).id  # type: ignore[arg-type]


def row_of(db: Database, invoice_id: int) -> InvoiceRow:
    with db.read() as session:
        return session.get_one(InvoiceRow, invoice_id)


def acts(db: Database, invoice_id: int) -> list[str]:
    with db.read() as session:
        return list(session.scalars(select(AuditRow.act).where(AuditRow.subject == f"invoice {invoice_id}")))


def test_invoices_are_found_by_their_filters(db: Database, clock: FixedClock, home: town.Home, as_role: As) -> None:
    draft = drafted(db, home, period="2026-03")
    owed = sent(db, clock, home)
    with db.begin() as session:
        late = town.invoice(session, home.contract, state="sent", period="2026-01", disputed=True)
        late.sent_on = date(2026, 2, 1)
        dollars = town.contract(session, home.customer, home.site, None, currency="USD")
        other = town.invoice(session, dollars, total=Money.units(12, "USD"), period="2026-03").id
        agency, account, late_id = "AG001", home.account_number, late.id
    client, ids = as_role("viewer"), {draft, owed, late_id, other}
    numbers = {i: row_of(db, i).number for i in ids}
    for query, found in (
        ("", ids),
        ("state=draft", {draft}),
        ("state=sent", {owed, late_id}),
        ("state=overdue", {late_id}),
        ("state=disputed", {late_id}),
        ("state=paid", set()),
        ("state=nonsense", ids),
        ("month=2026-03", {draft, other}),
        ("month=20x6-03", ids),
        ("currency=USD", {other}),
        (f"agency={agency}", ids),
        ("agency=NOBODY", set()),
        (f"q={account}", {draft, owed, late_id}),
        (f"q={numbers[other].lower()}", {other}),
        (f"customer={home.customer.id}", ids),
        ("below=2", {1}),
    ):
        html = client.get(f"/admin/invoices?{query}").text
        assert {i for i in ids if f'"/admin/invoices/{i}"' in html} == found, query


def test_what_nobody_types_is_no_fault_of_ours(home: town.Home, as_role: As) -> None:
    office = as_role("office")
    for address in (
        "invoices?q=%00",
        "invoices?agency=%00&month=%00",
        "invoices?q=%25_",
        "invoices?below=99999999999999999999",
        "invoices/months/2026-02?agency=%00",
        "invoices/new?account=%00",
        "cash?account=%00",
        "cash?done=%00",
    ):
        assert office.get(f"/admin/{address}").status_code in (200, 400, 404), address


def test_sums_and_the_table_as_csv(db: Database, clock: FixedClock, home: town.Home, as_role: As) -> None:
    sent(db, clock, home)
    drafted(db, home)
    html = english(as_role("finance")).get("/admin/invoices").text
    assert "57 000 FC" in html
    assert "due: 28 500 FC" in html
    lines = as_role("finance").get("/admin/invoices.csv").text.splitlines()
    assert len(lines) == 3
    assert "sent" not in lines[1] + lines[2], "the state in words"
    assert as_role("office").get("/admin/invoices.csv").status_code == 403


def test_pages_cost_the_same_whatever_there_is(db: Database, clock: FixedClock, as_role: As) -> None:
    client = as_role("finance")

    def cost(address: str) -> int:
        client.get(address)
        with statements_of(db) as said:
            assert client.get(address).status_code == 200
        return len(said)

    addresses = ("/admin/invoices?state=draft&agency=AG001", "/admin/invoices/months/2026-02", "/admin/invoices/1")
    with db.begin() as session:
        street(session, 5)
    before = [cost(address) for address in addresses]
    with db.begin() as session:
        contracts = session.scalars(select(ContractRow)).all()
        for n in range(495):
            town.invoice(session, contracts[n % 5], state="draft", period="2026-02")
    assert [cost(address) for address in addresses] == before
    assert max(before) < 40
    html = client.get("/admin/invoices").text
    assert html.count('class="mono nowrap"') == 50
    assert "below=" in html


def test_a_draft_is_validated_and_sent(db: Database, home: town.Home, as_role: As) -> None:
    one = drafted(db, home)
    office, finance = as_role("office"), english(as_role("finance"))
    assert post(office, f"/admin/invoices/{one}/validate")[0] == 403
    assert f"/admin/invoices/{one}/validate" not in office.get(f"/admin/invoices/{one}").text
    assert post(finance, f"/admin/invoices/{one}/validate") == (303, f"/admin/invoices/{one}?done=validated")
    assert row_of(db, one).number == "2026-AG001-000001"
    status, html = post(finance, f"/admin/invoices/{one}/validate")
    assert status == 409
    assert "not in a state that allows this" in html
    assert post(finance, f"/admin/invoices/{one}/send")[0] == 303
    assert row_of(db, one).state == "sent"
    assert acts(db, one) == [
        "invoice.validated", "invoice.validated", "invoice.validated.refused", "invoice.sent",
    ]  # fmt: skip
    html = finance.get(f"/admin/invoices/{one}?done=sent").text
    assert "<b>finance</b> sent it" in html
    assert "invoice sent" in html, "the first reminder step"
    assert finance.get("/admin/invoices/99").status_code == 404


def test_one_invoice_shows_what_paid_it(db: Database, clock: FixedClock, home: town.Home, as_role: As) -> None:
    one = sent(db, clock, home)
    with db.begin() as session:
        money = Money.units(10_000, "CDF")
        paid = town.payment(session, home.contract, money, wallet="cash")
        cash = CashTaken(key="c", payment_id=paid.id, cashier="office", contract_id=home.contract.id, amount=money)
        settle(session, cash, clock=clock)
        receipt = paid.receipt_number
    html = english(as_role("office")).get(f"/admin/invoices/{one}").text
    for part in ("18 500 FC", "paid in cash", receipt, "Cash", "partly paid", f"/admin/invoices/{one}.pdf"):
        assert part in html
    answer = as_role("office").get(f"/admin/invoices/{one}.pdf")
    assert answer.data.startswith(b"%PDF")
    assert as_role("viewer").get(f"/admin/invoices/{one}.pdf").status_code == 403


def test_cancelling_says_why(db: Database, clock: FixedClock, home: town.Home, as_role: As) -> None:
    one, finance = sent(db, clock, home), as_role("finance")
    assert post(finance, f"/admin/invoices/{one}/cancel", reason=" ")[0] == 400
    assert row_of(db, one).state == "sent"
    assert post(finance, f"/admin/invoices/{one}/cancel", reason="Wrong meter")[0] == 303
    assert row_of(db, one).state == "cancelled"
    assert "Wrong meter" in english(finance).get(f"/admin/invoices/{one}").text


def test_a_credit_note_is_looked_at_first_and_written_once(
    db: Database, clock: FixedClock, home: town.Home, as_role: As
) -> None:
    one, finance = sent(db, clock, home), english(as_role("finance"))
    where = f"/admin/invoices/{one}/credit"
    html = finance.get(f"{where}?how=amount&amount=8500").text
    assert "28 500 FC → <b>20 000 FC</b>" in html
    assert finance.get(f"{where}?how=amount&amount=99999").status_code == 409
    assert finance.get(f"{where}?how=amount&amount=x").status_code == 400
    assert finance.get(f"{where}?how=lines").status_code == 400
    form = {"how": "amount", "amount": "8500", "seen": "2850000", "reason": "Three days without power"}
    assert post(finance, where, **(form | {"reason": ""}))[0] == 400
    assert post(finance, where, **form) == (303, f"/admin/invoices/{one}?done=credited")
    assert post(finance, where, **form)[0] == 409, "the form that was sent twice"
    with db.read() as session:
        (note,) = session.scalars(select(CreditNoteRow))
        assert (note.amount_minor, note.issued_by, note.reason) == (850_000, "finance", "Three days without power")
    assert row_of(db, one).paid_minor == 850_000
    assert post(as_role("office"), where, **form)[0] == 403


def test_what_was_paid_already_becomes_credit(db: Database, clock: FixedClock, home: town.Home, as_role: As) -> None:
    one, finance = sent(db, clock, home), english(as_role("finance"))
    with db.begin() as session:
        money = Money.units(28_500, "CDF")
        paid = town.payment(session, home.contract, money, wallet="cash")
        cash = CashTaken(key="c", payment_id=paid.id, cashier="office", contract_id=home.contract.id, amount=money)
        settle(session, cash, clock=clock)
    assert "Becomes credit of the account" in finance.get(f"/admin/invoices/{one}/credit?how=whole").text
    form = {"how": "whole", "seen": "2850000", "reason": "Billed twice"}
    assert post(finance, f"/admin/invoices/{one}/credit", **form)[0] == 303
    with db.read() as session:
        assert balance(session, credit(home.contract.id), "CDF") == Money.units(28_500, "CDF")


def test_whole_lines_are_given_back(db: Database, clock: FixedClock, home: town.Home, as_role: As) -> None:
    one, finance = drafted(db, home, total=Money.units(11_600, "CDF"), tax_minor=160_000), english(as_role("finance"))
    with db.begin() as session:
        line = session.scalars(select(InvoiceLineRow).where(InvoiceLineRow.invoice_id == one)).one()
        line.amount_minor = 1_000_000
        session.add(
            InvoiceLineRow(invoice_id=one, position=2, label="TVA", quantity="1", amount_minor=160_000, levy="vat")
        )
    for step in ("validate", "send"):
        assert post(finance, f"/admin/invoices/{one}/{step}")[0] == 303
    assert "– 1 600 FC" in finance.get(f"/admin/invoices/{one}/credit?how=lines&line=2").text
    form = {"how": "lines", "line": "2", "reason": "Free of VAT"}
    assert post(finance, f"/admin/invoices/{one}/credit", seen="1160000", **form)[0] == 303
    with db.read() as session:
        (note,) = session.scalars(select(CreditNoteRow))
        assert (note.amount_minor, note.tax_minor) == (160_000, 160_000)
    assert finance.get(f"/admin/invoices/{one}/credit?how=lines&line=2").status_code == 409
    assert post(finance, f"/admin/invoices/{one}/credit", seen="1000000", **form)[0] == 409


def test_a_debt_is_given_up_by_an_administrator(db: Database, clock: FixedClock, home: town.Home, as_role: As) -> None:
    one = sent(db, clock, home)
    form = {"seen": "2850000", "reason": "The house burnt down"}
    assert post(as_role("finance"), f"/admin/invoices/{one}/write-off", **form)[0] == 403
    admin = english(as_role("admin"))
    assert post(admin, f"/admin/invoices/{one}/write-off", seen="2000000", reason="x")[0] == 409
    assert post(admin, f"/admin/invoices/{one}/write-off", **form)[0] == 303
    assert post(admin, f"/admin/invoices/{one}/write-off", **form)[0] == 409
    assert row_of(db, one).paid_minor == 2_850_000
    html = admin.get(f"/admin/invoices/{one}").text
    assert "given up" in html
    assert "The house burnt down" in html


def test_the_pdf_is_made_anew_behind_the_outbox(db: Database, clock: FixedClock, home: town.Home, as_role: As) -> None:
    one = sent(db, clock, home)
    assert post(as_role("office"), f"/admin/invoices/{one}/paper")[0] == 303
    with db.read() as session:
        assert session.scalars(select(OutboxRow).where(OutboxRow.key == f"document.invoice:{one}")).one()


def test_a_person_writes_a_connection_fee(db: Database, home: town.Home, as_role: As) -> None:
    with db.begin() as session:
        tariff = TariffRow(
            code="SUB", name="Abonnement", kind="monthly", currency="CDF", valid_from=date(2020, 1, 1), body=LEVIES
        )
        session.add(tariff)
        session.flush()
        session.merge(home.contract).tariff_id = tariff.id
    office = english(as_role("office"))
    assert office.get("/admin/invoices/new?account=123").status_code == 404
    html = office.get(f"/admin/invoices/new?account={home.account_number}").text
    assert "TVA 16 %" in html
    form = {
        "account": home.account_number, "key": "0123456789ab", "month": "2026-03", "besides": "1",
        "label-1": "Frais de raccordement", "amount-1": "100 000", "levy-1-vat": "1", "label-2": "Câble",
        "amount-2": "5 000",
    }  # fmt: skip
    status, where = post(office, "/admin/invoices/new", **form)
    assert (status, post(office, "/admin/invoices/new", **form)) == (303, (303, where)), "sent twice, written once"
    with db.read() as session:
        (row,) = session.scalars(select(InvoiceRow))
        assert (row.total_minor, row.tax_minor, row.state, row.besides) == (12_100_000, 1_600_000, "draft", True)
        lines = session.scalars(select(InvoiceLineRow).order_by(InvoiceLineRow.position)).all()
        assert [(line.label, line.amount_minor, line.levy) for line in lines] == [
            ("Frais de raccordement", 10_000_000, None), ("Câble", 500_000, None), ("TVA 16 %", 1_600_000, "vat"),
        ]  # fmt: skip
    assert acts(db, row.id)[0] == "invoice.written"
    for change in ({"amount-1": "x"}, {"amount-1": "0"}, {"label-1": ""}, {"month": "2026-13"}, {"levy-1-xx": "1"}):
        status, html = post(office, "/admin/invoices/new", **(form | {"key": "0123456789ac"} | change))
        assert status == 409, change
        assert "Câble" in html, "what was typed is still there"
    assert post(as_role("viewer"), "/admin/invoices/new", **form)[0] == 403


def test_instead_of_the_months_invoice_only_where_there_is_none(db: Database, home: town.Home, as_role: As) -> None:
    drafted(db, home, period="2026-03")
    form = {
        "account": home.account_number, "key": "0123456789ab", "month": "2026-03", "besides": "0",
        "label-1": "Énergie", "amount-1": "100",
    }  # fmt: skip
    status, html = post(english(as_role("office")), "/admin/invoices/new", **form)
    assert status == 409
    assert "This month has an invoice already" in html
