"""Payroll in the console: one opens, another looks and closes, and who sees what is written down."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import event

from admin.payroll import WORDS
from core.db import Database
from core.kernel.clock import FixedClock
from core.payroll.errors import REFUSAL_CODES
from core.services.payroll import Payroll
from tests import town
from tests.admin.agents_town import hired
from tests.admin.conftest import post
from tests.admin.console_town import HOSTILE, Console
from tests.admin.test_agents_console import acts
from tests.admin.test_money_suspense import logged_in

HOME = "/admin/payroll"


@pytest.fixture
def payroll(console: Console, db: Database, clock: FixedClock) -> Payroll:
    """The same services as the console's, with first rates and an agency."""
    with db.begin() as session:
        town.agency(session)
    payroll = Payroll(db, clock, console.staff.audit)
    payroll.rates.write_first()
    return payroll


def form(**other: str) -> dict[str, str]:
    return {
        "name": "Ilunga Mwamba", "job": "Releveur", "agency": "1", "base": "500 000", "currency": "CDF",
        "language": "fr", "starts_on": "2024-01-01", "active": "yes", "email": "ilunga@exemple.cd",
        "pay_to": "Rawbank 4410", "dependants": "0", **other,
    }  # fmt: skip


def opened(console: Console, **other: str) -> str:
    """A run of February with one employee; its address."""
    client = logged_in(console, "finance")
    status, where = post(client, f"{HOME}/employees/new", **form(**other))
    assert status == 303, where
    status, run = post(client, HOME, period="2026-02", currency="CDF")
    assert status == 303, run
    return run


def test_every_refusal_has_its_sentence() -> None:
    assert set(WORDS) == REFUSAL_CODES


def test_a_month_is_opened_by_one_and_closed_by_another(console: Console, payroll: Payroll) -> None:
    run = opened(console)
    first, second = logged_in(console, "finance"), logged_in(console, "finance2")
    html = first.get(run).text
    for part in ("Payroll of 02/2026", "423 190", "Ilunga Mwamba", "being prepared", "No accountant has confirmed"):
        assert part in html.replace("\u00a0", " "), part
    assert post(first, f"{run}/work", word="hand_on")[0] == 303
    assert "somebody else closes it" in first.get(run).text
    assert post(first, f"{run}/look", word="looked", version="1")[0] == 303
    status, html = post(first, f"{run}/close", version="1")
    assert (status, "Somebody else must close it" in html) == (409, True)
    status, html = post(second, f"{run}/close", version="1")
    assert (status, "First look at every payslip" in html) == (409, True)
    assert post(second, f"{run}/look", word="looked", version="1", note=HOSTILE)[0] == 303
    assert HOSTILE not in second.get(run).text
    status, where = post(second, f"{run}/close", version="1")
    assert status == 303
    assert "Numbers, papers and e-mails follow" in second.get(where).text
    assert acts(console)[:2] == [
        ("finance2", "payroll.seen", "2026-02 CDF"),
        ("finance2", "payroll.closed", "2026-02 CDF"),
    ]
    status, html = post(second, f"{run}/close", version="1")
    assert (status, "not in a state" in html) == (409, True)
    payroll.runs.finish(1)
    html = second.get(run).text
    assert "P2026-000001" in html
    assert post(second, f"{run}/paid", reference="VIR 118")[0] == 303
    assert "1 paid" in second.get(run).text
    assert post(first, HOME, period="2026-02", currency="CDF")[0] == 409
    csv = second.get(f"{run}.csv")
    assert csv.text.count("\r\n") == 7, "a head, and a line for each line of the slip"
    assert '"423190.00"' in csv.text
    assert acts(console)[0][1] == "export.payroll"


def test_each_look_at_a_payslip_is_written_down(console: Console, payroll: Payroll) -> None:
    opened(console)
    client = logged_in(console, "finance2")
    html = client.get(f"{HOME}/slips/1").text.replace("\u00a0", " ")
    for part in ("Base pay", "5 % of 500 000 FC", "IPR", "on 475 000 FC", "51 810 FC", "INPP", "Rawbank 4410"):
        assert part in html, part
    paper = client.get(f"{HOME}/slips/1.pdf")
    assert (paper.data, paper.content_type) == (b"%PDF-1.4 1", "application/pdf")
    assert acts(console)[0] == ("finance2", "payslip.seen", "draft 1")
    assert [act for _, act, _ in acts(console)[:2]] == ["payslip.seen"] * 2, "the page shows what the paper does"
    for page, noted in (("/1", ("payroll.seen", "2026-02 CDF")), ("/employees", ("employees.seen", "all"))):
        client.get(HOME + page)
        assert acts(console)[0] == ("finance2", *noted)
    client.get(f"{HOME}/employees/1")
    assert acts(console)[0][:2] == ("finance2", "employee.seen")
    assert client.get(f"{HOME}/slips/2.pdf").status_code == 404
    assert client.get(f"{HOME}/slips/2").status_code == 404


def test_nobody_else_sees_what_people_earn(console: Console, payroll: Payroll) -> None:
    opened(console)
    for role in ("viewer", "office"):
        client = logged_in(console, role)
        assert "/admin/payroll" not in client.get("/admin/").text
        for page in ("", "/1", "/1.csv", "/slips/1", "/slips/1.pdf", "/employees", "/employees/1", "/rates"):
            assert client.get(HOME + page).status_code == 403, page


def test_an_employee_is_written_changed_and_left_out(console: Console, payroll: Payroll) -> None:
    client = logged_in(console, "finance")
    for wrong, said in (
        ({"base": "much"}, "This is no amount."),
        ({"starts_on": "soon"}, "This is no date."),
        ({"email": "x"}, "no e-mail address"),
        ({"agency": "77"}, "Choose an agency."),
        ({"name": " "}, "A name, a job"),
    ):
        status, html = post(client, f"{HOME}/employees/new", **form(**wrong))
        assert (status in (400, 409), said in html) == (True, True), said
        assert "Releveur" in html, "what was typed is still there"
    status, where = post(client, f"{HOME}/employees/new", **form(name=HOSTILE, number="e9"))
    assert status == 303
    html = client.get(where).text
    assert HOSTILE not in html
    assert "E9" in html
    address = where.partition("?")[0]
    assert post(client, address, **form(name="Kapinga", base="600 000", active="", currency="USD"))[0] == 303
    assert acts(console)[0] == ("finance", "employee.changed", "E9")
    assert "Kapinga" not in client.get(f"{HOME}/employees").text
    assert "Kapinga" in client.get(f"{HOME}/employees?view=left").text
    csv = client.get(f"{HOME}/employees.csv").text
    assert '"E9"' in csv
    assert '"600000.00"' in csv
    assert client.get(f"{HOME}/employees/9").status_code == 404


def test_bonuses_and_deductions_of_employees_and_agents(console: Console, payroll: Payroll, db: Database) -> None:
    agent = hired(console, db)
    opened(console)
    client = logged_in(console, "finance")
    item = {"kind": "bonus", "words": "Prime", "amount": "5 000", "how": "once", "from_period": "2026-02"}
    assert post(client, f"{HOME}/items", payee="employee", id="1", **item, taxable="yes")[0] == 303
    assert acts(console)[0] == ("finance", "payroll.bonus", "E0001")
    monthly = {**item, "kind": "deduction", "how": "monthly", "until_period": "2026-06"}
    status, where = post(client, f"{HOME}/items", payee="agent", id=str(agent), **monthly)
    assert (status, where.partition("?")[0]) == (303, f"{HOME}/agents/{agent}")
    assert "every month from 02/2026 to 06/2026" in client.get(where).text
    for wrong, said in (({"amount": "x"}, "no amount"), ({"words": ""}, "Words, a whole amount")):
        status, html = post(client, f"{HOME}/items", payee="employee", id="1", **{**item, **wrong})
        assert (status in (400, 409), said in html) == (True, True)
    assert post(client, f"{HOME}/items", payee="nobody", id="1", **item)[0] == 404
    assert post(client, f"{HOME}/items", payee="employee", id="77", **item)[0] == 404
    assert post(client, f"{HOME}/1/work", word="compute")[0] == 303
    assert "Prime" in client.get(f"{HOME}/slips/1").text
    status, where = post(client, f"{HOME}/items/1/end")
    assert (status, where.partition("?")[0]) == (303, f"{HOME}/employees/1")
    assert post(client, f"{HOME}/items/1/end")[0] == 409


def test_rates_are_written_as_versions_and_confirmed(console: Console, payroll: Payroll) -> None:
    client = logged_in(console, "finance")
    html = client.get(f"{HOME}/rates").text
    for part in ("to be confirmed by an accountant", "CNSS", "INPP", "ONEM", "IPR", "0,2"):
        assert part in html, part
    typed = dict(re.findall(r'name="([lbt][^"]*)" value="([^"]*)"', html)) | {
        f"l{n}_payer": payer for n, payer in enumerate(["employee:salary", *["employer:salary"] * 3])
    }
    assert (typed["b1_upto"], typed["l3_percent"]) == ("1 800 000", "0,2")
    status, _ = post(client, f"{HOME}/rates", currency="CDF", from_period="2026-03", **{**typed, "l0_percent": "5,5"})
    assert status == 303
    [newest, first] = payroll.rates.all()
    assert (newest.version, newest.from_period, newest.made_by) == (2, "2026-03", "finance")
    assert newest.rates.contributions[1:] == first.rates.contributions[1:]
    assert newest.rates.tax == first.rates.tax
    assert newest.rates.contributions[0].percent * 2 == 11
    status, html = post(
        client, f"{HOME}/rates", currency="CDF", from_period="2026-03", **{**typed, "l0_percent": "505"}
    )
    assert (status, "These rates cannot be" in html) == (409, True)
    assert post(client, f"{HOME}/rates/1/confirm", words="")[0] == 400
    assert post(client, f"{HOME}/rates/1/confirm", words="Cabinet Nzuzi, 3 March")[0] == 303
    assert "Cabinet Nzuzi" in client.get(f"{HOME}/rates").text
    assert acts(console)[0] == ("finance", "payroll.rates_confirmed", "CDF version 1")
    assert post(client, f"{HOME}/rates/99/confirm", words="x")[0] == 409


def test_the_lists_ask_the_same_for_any_number_of_people(console: Console, payroll: Payroll, db: Database) -> None:
    run = opened(console)
    client, seen = logged_in(console, "finance"), []

    @event.listens_for(db.engine, "before_cursor_execute")
    def watch(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        seen.append(statement)

    def asked() -> list[int]:
        counts = []
        for page in (HOME, f"{HOME}/employees", run):
            seen.clear()
            assert client.get(page).status_code == 200
            counts.append(len(seen))
        return counts

    before = asked()
    for n in range(8):
        assert post(client, f"{HOME}/employees/new", **form(name=f"Employee {n}"))[0] == 303
    assert post(client, f"{run}/work", word="compute")[0] == 303
    assert asked() == before
