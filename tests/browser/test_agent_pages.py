"""The pages about agents in a real browser on a small screen: an agent is made, and brings cash."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright
from werkzeug.serving import make_server

from core.agents.model import AgentSession
from core.db import Database
from core.kernel.clock import FixedClock
from tests import town
from tests.admin import agents_town, console_town
from tests.admin.console_town import PASSWORD, Console
from tests.realparts import chromium_binary, exercised

pytestmark = pytest.mark.browser


@pytest.fixture
def console(db: Database, clock: FixedClock) -> Console:
    return console_town.build(db, clock)


@pytest.fixture
def address(console: Console) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, console.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def page() -> Iterator[Page]:
    binary = chromium_binary()
    if binary is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary)
        exercised("Chromium", browser.version)
        context = browser.new_context(viewport={"width": 360, "height": 740}, locale="fr-FR")
        context.set_default_timeout(60_000)
        yield context.new_page()
        browser.close()


def test_an_agent_is_made_and_brings_cash_on_a_small_screen(
    page: Page, address: str, console: Console, db: Database
) -> None:
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda message: trouble.append(message.text) if "Security Policy" in message.text else None)
    with db.begin() as session:
        account = town.home(session).account_number
    page.goto(f"{address}/admin/login")
    page.fill("#login", "finance")
    page.fill("#password", PASSWORD)
    page.press("#password", "Enter")
    page.locator(".languages button[value=en]").click()

    page.goto(f"{address}/admin/agents/new")
    page.fill("#a-name", "Alimentation de la Grande Place de Kamalondo")
    page.fill("#a-phone", "0815 557 001")
    page.select_option("#a-agency", "1")
    page.click("main button.main")
    pin = page.locator(".bigsum").inner_text()
    assert isinstance(console.agents.agents.enter(agents_town.PHONE, pin), AgentSession)
    console.agents.agents.change_pin(1, pin, agents_town.PIN)

    page.goto(f"{address}/admin/agents/cash")
    page.fill("#h-code", agents_town.offered(console, 1, 45_000))
    page.press("#h-code", "Enter")
    expect(page.locator(".bigsum")).to_have_text("45 000 FC")
    page.click("main button.main")
    expect(page.locator("[role=status]")).to_contain_text("The float is 45 000 FC now.")

    agents_town.sold(console, 1, account, 5_000)
    console.agents.agents.note_sim_changed(1, "finance")
    console.agents.agents.write_first_rules()
    code = agents_town.offered(console, 1, 3_000)
    page.locator(".languages button[value=fr]").click()
    for path in ("", "/1", "/new", "/commission?whose=1", "/cash", f"/cash?code={code}"):
        answer = page.goto(f"{address}/admin/agents{path}")
        assert answer
        assert answer.ok, path
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, f"{path} is wider than a phone"
    assert trouble == []
