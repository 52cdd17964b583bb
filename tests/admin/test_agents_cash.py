"""Cash over the counter, and what agents get: the console's two other pages about agents."""

from __future__ import annotations

from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.digits import grouped
from tests.admin.agents_town import filled, francs, hired, offered
from tests.admin.conftest import post
from tests.admin.console_town import Console
from tests.admin.test_agents_console import acts
from tests.admin.test_money_suspense import logged_in

CASH, RULES = "/admin/agents/cash", "/admin/agents/commission"


def test_a_code_leads_to_the_agent_and_counting_fills_the_float_once(console: Console, db: Database) -> None:
    agent = hired(console, db)
    code = offered(console, agent, 45_000)
    client = logged_in(console, "office")
    assert code not in client.get(CASH).text
    assert grouped(code) not in client.get(CASH).text
    html = client.get(f"{CASH}?code={grouped(code)}").text
    for part in ("Kiosque Zala", "0815 557 001", "I counted 45 000 FC"):
        assert part in html, part
    assert console.agents.agents.float_of(agent).balance == francs(0), "looking counts nothing"
    status, location = post(client, CASH, code=code)
    assert status == 303
    assert "Counted: 45 000 FC from Kiosque Zala. The float is 45 000 FC now." in client.get(location).text
    assert acts(console)[0] == ("office", "agent.cash_accepted", "A001")
    assert post(client, CASH, code=code) == (303, location), "the same cashier again gets the same answer"
    assert console.agents.agents.float_of(agent).balance == francs(45_000)
    status, html = post(logged_in(console, "finance"), CASH, code=code)
    assert (status, "somebody else took it" in html) == (409, True)
    assert console.agents.agents.float_of(agent).balance == francs(45_000)


def test_a_code_that_is_no_good_says_why(console: Console, db: Database, clock: FixedClock) -> None:
    agent = hired(console, db)
    agents = console.agents.agents
    codes = {"There is no hand-over with this code.": "12345678"}
    codes["took this hand-over back"] = offered(console, agent, 10_000)
    agents.withdraw_cash(agent, codes["took this hand-over back"])
    codes["was counted by office already"] = offered(console, agent, 20_000)
    agents.accept_cash(codes["was counted by office already"], "office")
    codes["more than 24 hours old"] = offered(console, agent, 40_000)
    clock.advance(days=2)
    client = logged_in(console, "finance")
    for said, code in codes.items():
        looked = client.get(f"{CASH}?code={code}")
        assert (looked.status_code, said in looked.text) == (409, True), said
        assert "I counted" not in looked.text
        assert post(client, CASH, code=code)[0] == 409
        assert acts(console)[0][1] == "agent.cash_accepted.refused"
    assert agents.float_of(agent).balance == francs(20_000)


def test_a_viewer_takes_no_cash(console: Console, db: Database) -> None:
    code = offered(console, hired(console, db), 45_000)
    client = logged_in(console, "viewer")
    assert client.get(CASH).status_code == 403
    assert post(client, CASH, code=code)[0] == 403


def test_rules_are_written_as_versions_and_an_own_one_goes_first(console: Console, db: Database) -> None:
    agent = hired(console, db)
    filled(console, agent, 1_000)
    client = logged_in(console, "finance")
    form = {"whose": "CDF", "basis_points": "150", "least": "50", "most": "5 000"}
    assert post(client, RULES, **form) == (303, f"{RULES}?done=rule")
    assert acts(console)[0] == ("finance", "agent.commission", "all")
    own = {"whose": str(agent), "basis_points": "275", "from_day": "2026-03-10", "until_day": "2026-03-31"}
    assert post(client, RULES, **own)[0] == 303
    later = {"whose": "CDF", "basis_points": "1", "most": "0", "from_day": "2026-04-01"}
    assert post(client, RULES, **later)[0] == 303
    html = client.get(RULES).text
    for part in (
        "1,50 %",
        "2,75 %",
        "least 50\u00a0FC, most 5\u00a0000\u00a0FC",
        "to come",
        "01/04/2026 00:00",
        "A001",
    ):
        assert part in html, part
    assert html.count(">in force<") == 2
    rules = {r.basis_points: r for r in console.agents.agents.commission_rules()}
    assert (rules[1].max_minor, rules[275].max_minor) == (0, None)
    assert rules[275].valid_until
    assert rules[275].valid_until.isoformat() == "2026-03-31T23:00:00+00:00", "midnight in Kinshasa after the last day"
    assert "2,75 %" in client.get(f"/admin/agents/{agent}").text


def test_rules_that_cannot_be_are_refused(console: Console) -> None:
    unruly, client = "A rule needs 0 to 10 000 basis points", logged_in(console, "finance")
    wrong: list[tuple[dict[str, str], int, str]] = [
        ({"whose": ""}, 400, "Say for whom the rule is."),
        ({"whose": "99"}, 400, "Say for whom the rule is."),
        ({"basis_points": "2.5"}, 400, "200 is 2 %"),
        ({"basis_points": "10001"}, 409, unruly),
        ({"least": "10", "most": "5"}, 409, unruly),
        ({"from_day": "2026-03-09"}, 409, unruly),
        ({"from_day": "2026-03-20", "until_day": "2026-03-12"}, 409, unruly),
        ({"from_day": "tomorrow"}, 400, "This is no date."),
        ({"until_day": "9999-12-31"}, 400, "This is no date."),
        ({"least": "few"}, 400, "This is no amount."),
    ]
    for change, status, said in wrong:
        form = {"whose": "CDF", "basis_points": "150"} | change
        got, html = post(client, RULES, **form)
        assert (got, said in html) == (status, True), change
    assert console.agents.agents.commission_rules() == []


def test_the_office_reads_rules_and_writes_none(console: Console) -> None:
    client = logged_in(console, "office")
    assert "Another version" not in client.get(RULES).text
    assert post(client, RULES, whose="CDF", basis_points="1")[0] == 403


def test_a_new_database_gets_a_rule_for_each_currency_and_keeps_what_finance_wrote(console: Console) -> None:
    agents = console.agents.agents
    agents.add_commission_rule("USD", 50, by="finance")
    assert agents.write_first_rules() == ["CDF", "KES"]
    assert agents.write_first_rules() == []
    shares = {rule.currency: rule.basis_points for rule in agents.commission_rules()}
    assert shares == {"CDF": 200, "KES": 200, "USD": 50}
