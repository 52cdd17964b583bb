"""Every registered wallet: its table of answers, its secrets, its page."""

from __future__ import annotations

import dataclasses
import logging
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs
from wallet_bench import REQUIRED_CASES, Bench, Case, cases_of, fails, says, shape

from channels.wallets.registry import WALLETS, build, secrets_of, slug_of
from core.payments.ports import BillNumbers, Checkable, Failed, Malformed, RawCallback, Refunds, Statements

DOCS = Path(__file__).parents[3] / "docs" / "wallets"
EVERY = [pytest.param(name, case, id=f"{name}-{case.name}") for name in WALLETS for case in cases_of(name).CASES]


@pytest.mark.parametrize(("name", "case"), EVERY)
def test_what_an_operator_answers(name: str, case: Case) -> None:
    bench = Bench(name, case.answer, **case.config)
    assert bench.run(case.call, **case.attempt) == case.expected
    assert len(bench.network.asked) == 1, "one call, whatever came of it"


@pytest.mark.parametrize(("name", "case"), EVERY)
def test_no_log_tells_a_secret(name: str, case: Case, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bench = Bench(name, case.answer, **case.config)
    with capture_logs() as events:
        answer = bench.run(case.call, **case.attempt)
    told = f"{events} {caplog.text} {answer!r}"
    assert events
    for secret in (*bench.cases.SECRETS, "never-to-be-seen", "Bearer", "243810000001"):
        assert secret not in told


@pytest.mark.parametrize("name", sorted(WALLETS))
def test_every_wallet_has_cases_and_a_page(name: str) -> None:
    assert {case.name for case in cases_of(name).CASES} >= REQUIRED_CASES
    page = (DOCS / f"{name}.md").read_text("utf-8")
    for setting in dataclasses.fields(WALLETS[name].config):
        assert f"MWOLO_{name.upper()}_{setting.name.upper()}" in page, f"{setting.name} is not on the page"
    for heading in ("## Access", "## Settings", "## Go-live checklist", "## Unconfirmed", "## When it hangs"):
        assert heading in page


@pytest.mark.parametrize("name", sorted(WALLETS))
def test_every_wallet_tells_what_it_can_do(name: str) -> None:
    can = Bench(name, httpx.Response(200)).wallet.can
    assert can.decimals.keys() in ({"CDF", "USD"}, {"CDF"}, {"KES"})
    assert can.decimals.get("CDF", 0) == can.decimals.get("KES", 0) == 0
    assert list(can.query_slots_s) == sorted(set(can.query_slots_s))
    assert can.prompt_lifetime_s > 0
    page = (DOCS / f"{name}.md").read_text("utf-8")
    assert f"proof of a callback: {can.callback_proof}" in page
    assert f"refunds: {can.refunds}" in page
    assert f"statements by API: {'yes' if can.statements else 'no'}" in page
    assert f"bill number: {'yes' if can.bill_number else 'no'}" in page
    assert f"first question after: {can.query_slots_s[0]} s" in page
    assert f"query by own id: {'yes' if can.query_by_own_id else 'no'}" in page


@pytest.mark.parametrize("name", sorted(WALLETS))
def test_what_a_wallet_says_it_can_it_has(name: str) -> None:
    wallet = Bench(name, httpx.Response(200)).wallet
    assert isinstance(wallet, Checkable)
    assert isinstance(wallet, Refunds) == (wallet.can.refunds != "none")
    assert isinstance(wallet, Statements) == wallet.can.statements
    assert isinstance(wallet, BillNumbers) == wallet.can.bill_number


@pytest.mark.parametrize("name", sorted(WALLETS))
def test_a_config_never_shows_its_secrets(name: str) -> None:
    bench = Bench(name, httpx.Response(200))
    assert set(secrets_of(bench.wallet, bench.config)) == set(bench.cases.SECRETS)
    for secret in bench.cases.SECRETS:
        assert secret not in repr(bench.config)


@pytest.mark.parametrize("name", sorted(WALLETS))
def test_an_amount_the_wallet_cannot_take_is_never_sent(name: str) -> None:
    bench = Bench(name, fails(httpx.ReadTimeout))
    for amount in bench.cases.UNSENDABLE:
        assert bench.run("start", amount=amount) == Failed("amount_refused", "not_sent")
    assert bench.network.asked == []


@pytest.mark.parametrize("name", sorted(WALLETS))
@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"[]", b"null", b"{}", b'"x"', b"[" * 50_000, b'{"depositId": 5}', b"<xml/>", b"NaN"]
)
def test_a_callback_nobody_can_read_is_malformed_and_acknowledged(name: str, body: bytes) -> None:
    bench = Bench(name, httpx.Response(200))
    raw = RawCallback("callback", body, {}, "POST", "/hooks/x/y/callback", "pay.example", None, datetime.now(UTC))
    assert isinstance(bench.wallet.read_callback(raw), Malformed)
    assert bench.wallet.acknowledge(raw).status == 200


def test_the_registry_refuses_what_does_not_belong_together() -> None:
    bench = Bench("vodacom", httpx.Response(200))
    with pytest.raises(KeyError):
        build("nobody", object(), http=bench.http, clock=bench.clock)
    with pytest.raises(TypeError, match="PawapayConfig"):
        build("pawapay", bench.config, http=bench.http, clock=bench.clock)


def test_a_slug_is_stable_and_tells_nothing() -> None:
    one = {slug_of(name, "key") for name in WALLETS}
    assert len(one) == len(WALLETS)
    assert one == {slug_of(name, "key") for name in WALLETS}
    assert one.isdisjoint({slug_of(name, "another key") for name in WALLETS})
    assert all(len(slug) == 20 and set(slug) <= set("0123456789abcdef") for slug in one)


def test_shapes_are_all_used() -> None:
    """A shape nobody reads proves nothing."""
    here = Path(__file__).parent
    text = "".join(p.read_text("utf-8") for p in here.glob("*.py"))
    for path in (here / "shapes").glob("*.*"):
        assert f'"{path.stem}"' in text, path.name
    assert says("pawapay_accepted").json() == shape("pawapay_accepted")
