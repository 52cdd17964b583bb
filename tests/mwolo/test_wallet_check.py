"""What `mwolo wallets` finds out, and what it never prints. Operators are played by fakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import cast

import httpx
import pytest
import structlog
from click.testing import CliRunner, Result
from redis.exceptions import ConnectionError as RedisConnectionError

from core.kernel.clock import FixedClock
from core.partner_http import PartnerHttp
from core.payments.ports import Capabilities, Finding, Wallet
from mwolo.cli import main
from mwolo.wallet_check import (
    Desk,
    Door,
    NotSetUp,
    callback_findings,
    check_routes,
    check_wallet,
    clock_finding,
    host_findings,
    lines,
    register_bill_number,
)

NOW = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)
SECRET = "s3cret-of-the-door-0001"
API_KEY = "key-of-the-operator"
DOOR = Door("https://pay.example.cd", (SECRET,))
BASE = f"https://pay.example.cd/hooks/0123456789abcdef0123/{SECRET}"


class FakeWallet:
    """As much of a wallet as a check looks at."""

    name = "fake"
    secrets = ("api_key",)

    def __init__(self, *findings: Finding, bill_number: bool = False, broken: Exception | None = None) -> None:
        self.can = Capabilities(
            {"CDF": 0, "USD": 2}, True, "none", (15, 60), 180, refunds="full", bill_number=bill_number
        )
        self.findings = findings
        self.broken = broken
        self.registered: list[tuple[str, str]] = []

    def check(self) -> Sequence[Finding]:
        if self.broken is not None:
            raise self.broken
        return self.findings

    def register_bill_number(self, validate_url: str, confirm_url: str) -> Finding:
        self.registered.append((validate_url, confirm_url))
        return Finding(True, f"registered {confirm_url}")


def desk(wallets: Mapping[str, object], **changes: object) -> Desk:
    usual = Desk(
        wallets=cast("Mapping[str, Wallet]", wallets),
        names={"fake": "MWOLO_FAKE_API_KEY", "other": "MWOLO_OTHER_API_KEY"},
        base_urls={"fake": "https://api.example.com/v1"},
        callback_bases={"fake": BASE},
        routes={"mpesa": ("fake", "other")},
        door=DOOR,
        clock=FixedClock(NOW),
        hidden=(API_KEY,),
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def answering(status: int = 404, *, date: datetime | None = NOW, error: Exception | None = None) -> PartnerHttp:
    """An operator that answers every question so."""

    def answer(_request: httpx.Request) -> httpx.Response:
        if error is not None:
            raise error
        headers = {"date": format_datetime(date, usegmt=True)} if date else {}
        return httpx.Response(status, headers=headers, text="<html>")

    return PartnerHttp("fake", transport=httpx.MockTransport(answer))


def marks(findings: Sequence[Finding]) -> list[bool | None]:
    return [finding.ok for finding in findings]


def test_a_wallet_that_works() -> None:
    found = check_wallet(desk({"fake": FakeWallet(Finding(True, "A token was given."))}), "fake", answering())
    assert marks(found) == [True] * 6
    said = "\n".join(lines(found))
    assert "Takes CDF, USD with 2 decimals" in said
    assert "refunds: full" in said
    assert "first question after 15 s" in said
    assert "Collects for M-Pesa" in said
    assert "Callbacks go to pay.example.cd by https." in said
    assert "api.example.com answers." in said
    assert "Our clock is +0 s from theirs." in said


def test_no_secret_is_ever_printed() -> None:
    wallet = FakeWallet(Finding(False, f"{BASE}/confirm was refused for {API_KEY}", f"not {SECRET}"), bill_number=True)
    at = desk({"fake": wallet})
    findings = [*check_wallet(at, "fake", answering()), register_bill_number(at, "fake")]
    said = "\n".join(lines(findings))
    assert "was refused for ***" in said
    assert SECRET not in said
    assert API_KEY not in said
    assert wallet.registered == [(f"{BASE}/validate", f"{BASE}/confirm")]


def test_payments_by_bill_number_want_named_networks() -> None:
    wallet = FakeWallet(Finding(True, "clock"), bill_number=True)
    open_to_all = check_wallet(desk({"fake": wallet}), "fake", answering())
    (found,) = [one for one in open_to_all if one.ok is None]
    assert "MWOLO_HOOK_SOURCES (fake=network|network)" in found.advice
    fenced = check_wallet(desk({"fake": wallet}, fenced={"fake": ()}), "fake", answering())
    assert None not in marks(fenced)
    # Whose callbacks only make us ask may come from anywhere.
    assert None not in marks(check_wallet(desk({"fake": FakeWallet(Finding(True, "clock"))}), "fake", answering()))


def test_the_host_is_not_asked_about_the_time_where_the_wallet_did_so_itself() -> None:
    wallet = FakeWallet(Finding(True, "Our clock differs from theirs by 0 s."))
    found = check_wallet(desk({"fake": wallet}), "fake", answering(error=httpx.ConnectError("never asked")))
    assert all(marks(found))


@pytest.mark.parametrize(
    ("http", "expected", "said"),
    [
        (answering(401), [True, True], "answers"),
        (answering(200), [True, None], "not known"),
        (answering(503), [True, None], "not known"),
        (answering(429), [True, None], "429"),
        (answering(404, date=None), [True, None], "names no time"),
        (answering(error=httpx.ConnectError("no")), [False], "no_connection"),
        (answering(error=httpx.ReadTimeout("no")), [False], "timeout"),
    ],
)
def test_the_host(http: PartnerHttp, expected: list[bool | None], said: str) -> None:
    found = host_findings(http, "https://api.example.com/v1", FixedClock(NOW))
    assert marks(found) == expected
    assert any(said in finding.what for finding in found)


@pytest.mark.parametrize(
    ("theirs", "ok"),
    [("Tue, 10 Mar 2026 08:00:20 GMT", True), ("Tue, 10 Mar 2026 09:00:00 GMT", False),
     ("Tue, 10 Mar 2026 09:00:00 +0100", True), ("Tue, 10 Mar 2026 08:00:00 -0000", None), ("soon", None), ("", None)],
)  # fmt: skip
def test_the_clock(theirs: str, ok: bool | None) -> None:
    assert clock_finding(theirs, FixedClock(NOW)).ok is ok


@pytest.mark.parametrize(
    ("url", "ok"),
    [("https://pay.example.cd", True), ("http://pay.example.cd", False), ("https://localhost:8000", False),
     ("https://127.0.0.1", False), ("https://10.1.2.3", False), ("https://192.168.1.4:8443", False),
     ("https://[::1]", False), ("https://mwolo", False), ("https://mwolo.local", False), ("https://8.8.8.8", True),
     ("", False)],
)  # fmt: skip
def test_whether_operators_can_reach_us(url: str, ok: bool) -> None:
    assert callback_findings(Door(url, (SECRET,)), f"{url}/hooks/0123/{SECRET}")[0].ok is ok


def test_the_sandbox_reaches_us_at_home() -> None:
    assert marks(callback_findings(Door("http://127.0.0.1:8000", ("short",), local=True), "http://x/short")) == [True]


@pytest.mark.parametrize(
    ("url", "secret", "said"),
    [
        ("https://mpesa.example.cd", SECRET, "the word mpesa"),
        ("https://pay.example.cd", "this-is-an-EXEcutive-secret", "the word exe"),
        ("https://pay.example.cd", "seventeen-letters/and-more", "cannot stand in an address"),
        ("https://pay.example.cd", "short", "guessed"),
    ],
)
def test_addresses_that_operators_refuse(url: str, secret: str, said: str) -> None:
    found = callback_findings(Door(url, (secret,)), f"{url}/hooks/0123/{secret}")
    assert [said in finding.what for finding in found if finding.ok is False] == [True]


def test_our_own_slug_and_kinds_hold_no_forbidden_word() -> None:
    assert marks(callback_findings(DOOR, BASE)) == [True]
    assert marks(callback_findings(DOOR, "")) == [False]


def test_routes_that_fit_and_that_do_not() -> None:
    routes = {"mpesa": ("fake", "other"), "airtel": ("other",), "orange": ("nobody",), "cowries": ("fake",)}
    found = check_routes(desk({"fake": FakeWallet()}, routes=routes))
    said = {finding.what: finding.ok for finding in found}
    assert said == {
        "M-Pesa is collected by fake.": True,
        "Airtel Money: none of its wallets is set up.": None,
        "MWOLO_WALLET_ROUTES names nobody for orange: no such wallet.": False,
        "Orange Money: none of its wallets is set up.": None,
        "MWOLO_WALLET_ROUTES names cowries, which no customer can choose.": False,
        "cowries is collected by fake.": True,
    }


def test_a_wallet_that_no_route_names() -> None:
    found = check_wallet(desk({"fake": FakeWallet()}, routes={}), "fake", answering())
    assert "Set up, but no route names it: it is never used." in [f.what for f in found if f.ok is False]


def test_tokens_kept_on_a_redis_that_is_away() -> None:
    found = check_wallet(desk({"fake": FakeWallet(broken=RedisConnectionError("no"))}), "fake", answering())
    assert [f.what for f in found if f.ok is False] == ["Redis does not answer: ConnectionError."]


def test_names_nobody_knows() -> None:
    with pytest.raises(NotSetUp, match="There are: fake, other"):
        desk({}).named("mtn")
    with pytest.raises(NotSetUp, match="other is not set up: MWOLO_OTHER_API_KEY is empty"):
        desk({"fake": FakeWallet()}).named("other")


def test_a_bill_number_is_registered_only_with_an_address_that_works() -> None:
    wallet = FakeWallet(bill_number=True)
    at = desk({"fake": wallet}, door=Door("http://localhost", (SECRET,)))
    assert register_bill_number(at, "fake").ok is False
    assert register_bill_number(desk({"fake": FakeWallet()}), "fake").ok is False
    assert wallet.registered == []


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> object:
    """The command line with settings of its own; an operator whose port nobody listens on."""
    monkeypatch.setenv("MWOLO_SECRET_KEY", "k" * 40)
    monkeypatch.setenv("MWOLO_DATABASE_URL", f"sqlite:///{tmp_path / 'mwolo.db'}")
    monkeypatch.setenv("MWOLO_HOOK_SECRETS", SECRET)
    monkeypatch.setenv("MWOLO_PUBLIC_URL", "https://pay.example.cd")
    monkeypatch.setenv("MWOLO_PAWAPAY_API_TOKEN", API_KEY)
    monkeypatch.setenv("MWOLO_PAWAPAY_BASE_URL", "http://127.0.0.1:9")

    def once(*words: str) -> Result:
        # Log lines keep the stderr of the first runner otherwise.
        structlog.reset_defaults()
        result = CliRunner().invoke(main, ["wallets", *words])
        structlog.reset_defaults()
        assert SECRET not in result.output
        assert API_KEY not in result.output
        return result

    return once


def test_exit_codes(run: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(run)
    listed = run("list")
    assert listed.exit_code == 0
    assert "pawapay    set up; mpesa, airtel, orange; CDF, USD" in listed.output
    assert "MWOLO_VODACOM_API_KEY is empty" in listed.output
    wrong = run("check")
    assert (wrong.exit_code, "WRONG" in wrong.output) == (1, True)
    assert "no_connection" in wrong.output
    assert run("check", "mtn").exit_code == 2
    assert run("check", "vodacom").exit_code == 2
    assert run("register", "pawapay").exit_code == 1
    monkeypatch.setenv("MWOLO_HOOK_SECRETS", "")
    assert run("check").exit_code == 2
    monkeypatch.setenv("MWOLO_PAWAPAY_API_TOKEN", "")
    assert run("check").exit_code == 1
