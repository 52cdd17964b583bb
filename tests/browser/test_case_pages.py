"""Cases and promises in a real browser on a small screen: nothing is too wide, a case is answered and closed."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright
from werkzeug.serving import make_server

from core.db import Database
from core.kernel.clock import FixedClock
from tests.admin import console_town
from tests.admin.console_town import PASSWORD, Console
from tests.realparts import chromium_binary, exercised

pytestmark = pytest.mark.browser

WIDTH = 360


@pytest.fixture
def console(db: Database, clock: FixedClock) -> Console:
    console_town.everything_happened(db, clock)
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
        context = browser.new_context(viewport={"width": WIDTH, "height": 740}, locale="fr-FR")
        context.set_default_timeout(60_000)
        yield context.new_page()
        browser.close()


def test_a_case_is_answered_and_closed_on_a_small_screen(page: Page, address: str, console: Console) -> None:
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text) if "Security Policy" in message.text else None)
    page.goto(f"{address}/admin/login")
    page.fill("#login", "office")
    page.fill("#password", PASSWORD)
    page.press("#password", "Enter")
    for path in ("cases", "cases/new", "cases/1000019", "promises?view=all", "promises/1", "customers/1?kind=reported"):
        page.goto(f"{address}/admin/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= WIDTH, path
    page.goto(f"{address}/admin/cases")
    page.click('a[href="/admin/cases/1000019"]')
    page.fill("#answer", "Un agent passe demain matin.")
    page.click('form[action$="/answer"] button')
    expect(page.get_by_role("status")).to_be_visible()
    page.fill("#reason", "Reparé")
    page.click('form[action$="/close"] button')
    expect(page.locator("textarea")).to_have_count(0)
    file = console.cases.cases.one("1000019")
    assert file is not None
    assert [note.kind for note in file.notes] == ["answer", "closed"]
    assert trouble == []
