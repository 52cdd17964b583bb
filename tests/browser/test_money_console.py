"""The money pages in a real browser on a small screen: a report is looked at and taken in, money is placed by two."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect, sync_playwright
from werkzeug.serving import make_server

from core.db import Database
from core.kernel.clock import FixedClock
from tests.admin import console_town, money_town
from tests.admin.console_town import PASSWORD, TXN, Console
from tests.realparts import chromium_binary, exercised

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Desk:
    address: str
    console: Console
    waiting: str


@pytest.fixture
def desk(db: Database, clock: FixedClock) -> Iterator[Desk]:
    home = console_town.everything_happened(db, clock)
    money_town.trouble(db, clock)
    console = console_town.build(db, clock)
    waiting = money_town.unplaced(console.money, clock, money_town.swapped(home.account_number))
    server = make_server("127.0.0.1", 0, console.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Desk(f"http://127.0.0.1:{server.port}", console, waiting)
    server.shutdown()
    thread.join()


@pytest.fixture
def browser() -> Iterator[Browser]:
    binary = chromium_binary()
    if binary is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary)
        exercised("Chromium", browser.version)
        yield browser
        browser.close()


def logged_in(browser: Browser, desk: Desk, login: str) -> Page:
    page = browser.new_context(viewport={"width": 360, "height": 740}, locale="fr-FR").new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{desk.address}/admin/login")
    page.fill("#login", login)
    page.fill("#password", PASSWORD)
    page.press("#password", "Enter")
    page.locator(".languages button[value=en]").click()
    return page


def test_a_report_is_looked_at_corrected_and_taken_in(browser: Browser, desk: Desk) -> None:
    page = logged_in(browser, desk, "finance")
    page.goto(f"{desk.address}/admin/money/statements")
    report = money_town.statement(TXN).replace(b"Paid In", b"Montant recu")
    file: FilePayload = {"name": "mars.csv", "mimeType": "text/csv", "buffer": report}
    page.set_input_files("#s-file", files=[file])
    page.click("text=Look at it first")
    expect(page.locator(".fault")).to_contain_text("Not in this file:")
    page.select_option("#c-amount_in", "Montant recu")
    page.click("text=Look again with these columns")
    expect(page.locator("table").first).to_contain_text("30 000 FC")
    page.click("text=Take it in")
    expect(page.locator("[role=status]")).to_contain_text("Taken in: 3 new lines")


def test_two_people_place_money_from_two_phones(browser: Browser, desk: Desk) -> None:
    for login in ("finance", "finance2"):
        page = logged_in(browser, desk, login)
        page.goto(f"{desk.address}/admin/money/suspense/{desk.waiting}")
        page.click("text=Look at it" if login == "finance" else "text=Look, and confirm")
        expect(page.locator("h1")).to_have_text("12 500 FC for Mbuyi Kalala?")
        page.fill("#note", "elle a appelé")
        page.click("main button.main")
        expect(page.locator("[role=status]")).to_be_visible()
    expect(page.locator(".empty")).to_have_text("All money is where it belongs.")


def test_no_money_page_is_wider_than_a_phone(browser: Browser, desk: Desk, db: Database) -> None:
    page = logged_in(browser, desk, "finance")
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda message: trouble.append(message.text) if "Security Policy" in message.text else None)
    saved = desk.console.money.reconciliation.saved_mapping("vodacom", "CDF")
    assert saved
    desk.console.money.reconciliation.import_file(
        "vodacom", "CDF", "mars.csv", money_town.statement(TXN, '"31,000.00"'), saved.columns, saved.options, "finance"
    )
    for path in (
        "attempts", "callbacks", "suspense", f"suspense/{desk.waiting}", f"suspense/{desk.waiting}/place?contract=1",
        "days", "days/vodacom/CDF/2026-03-10", "lines/1", "statements", "refunds", "wallets",
        f"refunds/new?payment={desk.waiting}",
        money_town.address(db, "EUNKNOWN000000000001").removeprefix("/admin/money/"),
    ):  # fmt: skip
        answer = page.goto(f"{desk.address}/admin/money/{path}")
        assert answer
        assert answer.ok, path
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, f"{path} is wider than a phone"
    assert trouble == []
