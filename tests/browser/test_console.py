"""The console in a real browser: log in, look somebody up, read her story."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright
from werkzeug.serving import make_server

from core.db import Database
from core.kernel.clock import FixedClock
from tests import town
from tests.admin import console_town
from tests.admin.console_town import HOSTILE, PASSWORD, RECEIPT
from tests.realparts import chromium_binary, exercised

pytestmark = pytest.mark.browser


@pytest.fixture
def home(db: Database, clock: FixedClock) -> town.Home:
    with db.begin() as session:
        town.home(session, name=HOSTILE, phone="+243815559999")
    return console_town.everything_happened(db, clock)


@pytest.fixture
def address(db: Database, clock: FixedClock, home: town.Home) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, console_town.build(db, clock).app, threaded=True)
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


def test_an_agent_logs_in_looks_up_a_phone_and_reads_the_story(page: Page, address: str, tmp_path: Path) -> None:
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda message: trouble.append(message.text) if "Security Policy" in message.text else None)
    page.on("dialog", lambda dialog: trouble.append(dialog.message))

    page.goto(f"{address}/admin/")
    page.fill("#login", "office")
    page.fill("#password", "wrong")
    page.press("#password", "Enter")
    expect(page.locator("[role=alert]")).to_be_visible()
    page.fill("#password", PASSWORD)
    page.press("#password", "Enter")
    expect(page.locator(".tile").first).to_contain_text("30 000 FC")

    page.keyboard.press("/")
    page.keyboard.type("0815 550 001")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Mbuyi Kalala")
    expect(page.locator(".lcd pre").first).to_contain_text("A payer: 28 500 FC")
    page.locator("summary").first.click()
    with page.expect_download() as download:
        page.locator('a[href^="/admin/receipts/"]').click()
    download.value.save_as(tmp_path / "receipt.pdf")
    assert (tmp_path / "receipt.pdf").read_bytes().startswith(b"%PDF")

    page.locator(".filter a.k-paid").click()
    expect(page.locator(".entry")).to_have_count(1)
    expect(page.locator(".entry")).to_contain_text(RECEIPT)

    for path in ("/admin/", "/admin/customers/2", "/admin/search?q=a", "/admin/account"):
        page.goto(address + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, f"{path} is wider than a phone"
    assert trouble == []
