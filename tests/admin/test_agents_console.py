"""Field agents in the console: who may do what, and that each act stands in the audit log."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select

from admin.agents import WORDS
from core.agents.errors import REFUSAL_CODES
from core.agents.model import AgentSession, Locked
from core.agents.tables import AgentSaleRow
from core.customers.tables import PhoneLinkRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.digits import grouped
from tests import town
from tests.admin.agents_town import PHONE, PIN, filled, francs, hired, offered, sold
from tests.admin.conftest import post
from tests.admin.console_town import Console
from tests.admin.test_money_suspense import logged_in


def pin_in(html: str) -> str:
    found = re.search(r'class="bigsum mono">(\d{6})<', html)
    assert found, "the PIN is shown"
    return found.group(1)


def acts(console: Console) -> list[tuple[str, str, str]]:
    """(actor, act, subject), newest first, without log-ins."""
    entries = console.staff.newest_audit()
    return [(e.actor, e.act, e.subject) for e in entries if not e.act.startswith("staff.")]


def test_every_refusal_has_a_sentence() -> None:
    assert set(WORDS) == REFUSAL_CODES


def test_an_agent_is_made_and_its_pin_is_shown_once(console: Console, db: Database) -> None:
    with db.begin() as session:
        agency = str(town.agency(session).id)
    client = logged_in(console, "finance")
    assert "Nobody sells for you yet." in client.get("/admin/agents").text
    form = {"name": "Cabine Bahati", "phone": "0840 009 003", "agency": agency, "currency": "USD", "credit": "50"}
    status, html = post(client, "/admin/agents/new", **form)
    assert status == 200
    pin = pin_in(html)
    entered = console.agents.agents.enter("+243840009003", pin)
    assert isinstance(entered, AgentSession)
    assert entered.must_change_pin
    assert pin not in client.get("/admin/agents/1").text
    assert acts(console)[0] == ("finance", "agent.created", "A001")
    assert pin not in str(console.staff.newest_audit())
    line = console.agents.desk.agent(1)
    assert (line.agent.name, line.agent.credit_limit.text, line.agency) == (
        "Cabine Bahati",
        "50 USD",
        "Agence Kinshasa",
    )
    assert "No commission is in force for USD" in client.get("/admin/agents").text


def test_what_cannot_be_is_refused_with_what_was_typed(console: Console, db: Database) -> None:
    hired(console, db)
    client = logged_in(console, "finance")
    wrong: list[tuple[dict[str, str], int, str]] = [
        ({"phone": "12"}, 409, "This is no telephone number."),
        ({"phone": PHONE}, 409, "Another agent has this phone."),
        ({"code": "a001"}, 409, "Another agent has this code."),
        ({"agency": ""}, 409, "Choose an agency."),
        ({"agency": "٣"}, 409, "Choose an agency."),
        ({"credit": "much"}, 400, "This is no amount."),
        ({"credit": "-5"}, 400, "This is no amount."),
    ]
    for change, status, said in wrong:
        form = {"name": 'Étal "B"', "phone": "0840009003", "agency": "1", "currency": "CDF", "credit": "0"} | change
        got, html = post(client, "/admin/agents/new", **form)
        assert (got, said in html) == (status, True), change
        assert 'value="Étal &#34;B&#34;"' in html
    assert len(console.agents.desk.agents()) == 1


def test_the_list_says_float_credit_sales_and_state(console: Console, db: Database, clock: FixedClock) -> None:
    agent = hired(console, db, credit=5_000)
    hired(console, db, phone="+243975557002", name="Étal Kabwe")
    filled(console, agent, 60_000)
    with db.begin() as session:
        account = town.home(session).account_number
    sold(console, agent, account, 2_000)
    sold(console, agent, account, 1_500)
    for _ in range(5):
        clock.advance(minutes=10)
        console.agents.agents.enter("+243975557002", "999999")
    client = logged_in(console, "office")
    html = client.get("/admin/agents").text
    for part in ("56 500 FC", "5 000 FC", "3 500 FC", "2 sales", "Étal Kabwe", "PIN rests until"):
        assert part in html, part
    assert client.get("/admin/agents.csv").status_code == 403
    table = logged_in(console, "finance").get("/admin/agents.csv").text
    assert '"A001","Kiosque Zala","\'+243815557001","Agence Kinshasa","yes","","CDF","56500.00","5000.00","2"' in table
    assert acts(console)[0] == ("finance", "export.agents", "all")


def test_the_code_of_a_sale_finds_the_customer_and_the_agent(console: Console, db: Database) -> None:
    """Where no SMS goes out, the code is all that a customer has."""
    agent = hired(console, db)
    filled(console, agent, 60_000)
    with db.begin() as session:
        home = town.home(session)
    sold(console, agent, home.account_number, 2_000)
    with db.read() as session:
        code = session.scalars(select(AgentSaleRow.code)).one()
    client = logged_in(console, "viewer")
    for typed in (code, grouped(code)):
        found = client.get("/admin/search", query_string={"q": typed})
        assert (found.status_code, found.location) == (303, f"/admin/customers/{home.customer.id}")
    today = client.get("/admin/").text
    assert "2 000 FC sold by agents, from their float" in today
    assert '<p class="big">2 000 FC</p>' not in today, "it came when the float was bought"
    story = client.get(f"/admin/customers/{home.customer.id}").text
    assert "sold by Kiosque Zala" in story
    assert grouped(code) in story


def test_one_agent_shows_entries_page_by_page_sales_and_hand_overs(
    console: Console, db: Database, clock: FixedClock
) -> None:
    agent = hired(console, db)
    for _ in range(27):
        clock.advance(minutes=1)
        filled(console, agent, 1_000)
    with db.begin() as session:
        account = town.home(session).account_number
    sold(console, agent, account, 12_000)
    waiting = offered(console, agent, 7_000)
    client = logged_in(console, "finance")
    html = client.get(f"/admin/agents/{agent}").text
    assert "15 000 FC" in html
    assert "-12 000 FC" in html
    assert html.count("+1 000 FC") == 24
    assert "the agent has it" in html
    assert waiting not in html, "only the agent says it"
    older = re.search(r'href="(\?after=[^"#]+)#float"', html)
    assert older
    assert client.get(f"/admin/agents/{agent}{older.group(1)}").text.count("+1 000 FC") == 3
    assert client.get(f"/admin/agents/{agent}?after=nothing").status_code == 404
    assert client.get("/admin/agents/99").status_code == 404
    table = client.get(f"/admin/agents/{agent}/float.csv").text
    assert table.count("cash handed over") == 27
    assert '"sale","CDF","\'-12000.00"' in table


def test_limits_and_credit_are_set_by_finance(console: Console, db: Database) -> None:
    agent = hired(console, db)
    client, address = logged_in(console, "finance"), f"/admin/agents/{agent}"
    limits = {"per_sale": "40 000", "per_day": "100 000", "large": "20 000"}
    assert post(client, f"{address}/limits", **limits) == (303, f"{address}?done=limits")
    assert "The limits hold from now on." in client.get(f"{address}?done=limits").text
    assert console.agents.desk.agent(agent).agent.limits.per_day == francs(100_000)
    assert acts(console)[0] == ("finance", "agent.limits", "A001")
    status, html = post(client, f"{address}/limits", **limits | {"per_day": "30 000"})
    assert (status, "do not fit together" in html, 'value="30 000"' in html) == (409, True, True)
    assert acts(console)[0] == ("finance", "agent.limits.refused", "A001")
    assert post(client, f"{address}/limits", **limits | {"large": "x"})[0] == 400

    assert post(client, f"{address}/credit", credit="15 000")[0] == 303
    assert console.agents.agents.float_of(agent).available == francs(15_000)
    with db.begin() as session:
        account = town.home(session).account_number
    sold(console, agent, account, 10_000)
    status, html = post(client, f"{address}/credit", credit="9 000")
    assert (status, "10 000 FC below zero" in html) == (409, True)


def test_a_locked_agent_gets_a_new_pin(console: Console, db: Database, clock: FixedClock) -> None:
    agent = hired(console, db)
    for _ in range(5):
        clock.advance(minutes=10)
        console.agents.agents.enter(PHONE, "999999")
    assert isinstance(console.agents.agents.enter(PHONE, PIN), Locked)
    status, html = post(logged_in(console, "finance"), f"/admin/agents/{agent}/pin")
    assert status == 200
    entered = console.agents.agents.enter(PHONE, pin_in(html))
    assert isinstance(entered, AgentSession)
    assert entered.must_change_pin
    assert acts(console)[0] == ("finance", "agent.pin_reset", "A001")


def test_the_office_makes_an_agent_safe_and_finance_lets_it_go_on(console: Console, db: Database) -> None:
    agent = hired(console, db)
    filled(console, agent, 400_000)
    with db.begin() as session:
        own = town.home(session, phone=PHONE).customer.id
    office, finance, address = logged_in(console, "office"), logged_in(console, "finance"), f"/admin/agents/{agent}"
    assert post(office, f"{address}/sim")[0] == 303
    assert acts(console)[0] == ("office", "agent.sim_changed", "A001")
    with db.read() as session:
        fresh = session.scalar(select(PhoneLinkRow.fresh_until).where(PhoneLinkRow.customer_id == own))
    assert fresh is None, "the agent's own account shows nothing to a new SIM either"
    assert "large sales wait until 11/03/2026 09:00" in office.get(address).text
    with db.begin() as session:
        account = town.home(session).account_number
    with pytest.raises(Exception, match="sim_hold"):
        sold(console, agent, account, 200_000)
    assert post(office, f"{address}/off")[0] == 303
    assert console.agents.agents.role_of(PHONE) is None
    assert post(office, f"{address}/on")[0] == 403
    assert post(finance, f"{address}/on")[0] == 303
    assert console.agents.agents.role_of(PHONE)
    assert [act for _, act, _ in acts(console)[:2]] == ["agent.enabled", "agent.disabled"]
    for forbidden in ("pin", "limits", "credit"):
        assert post(office, f"{address}/{forbidden}")[0] == 403
    assert "Reset the PIN" not in office.get(address).text
