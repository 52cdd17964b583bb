"""The meter's screens: what is left in words, tokens in threes, and an honest answer to "why am I off"."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from channels.ussd.menu.engine import Context, Go, Gone, Said
from channels.ussd.menu.fit import Network, fit, words
from channels.ussd.menu.journeys import menu
from channels.ussd.menu.meter_examples import keypads, radios
from channels.ussd.menu.screen import Line
from channels.ussd.menu.states.meter_words import left
from core.customers.model import ContractView, PrepaidView, Snapshot
from core.i18n import LANGUAGES
from core.kernel import gsm7
from core.kernel.money import Money

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
KEYPAD = next(iter(keypads()))
RADIO = next(contract for contract in radios() if contract.meter_id is not None)
BOUGHT = PrepaidView("day", 10, ("082162833",), NOW - timedelta(days=4), NOW + timedelta(days=6))


def context(contract: ContractView) -> Context:
    return Context(Snapshot("+243815550001", NOW, "fr", True, "mpesa", (contract,)), "*123#", {"c": 1})


def english(sentence: Line) -> str:
    return words(sentence, "en", Network())


def shown(key: str, contract: ContractView) -> tuple[str, tuple[str, ...]]:
    """(the text in English, what its keys stand for)."""
    screen = menu().state(key).show(context(contract))
    return fit(screen, "en", network=Network()).text, tuple(choice.value for choice in screen.choices)


@pytest.mark.parametrize(
    ("remaining", "expected"),
    [
        (timedelta(days=6), "About 6 days left."),
        (timedelta(days=5, hours=13), "About 6 days left."),
        (timedelta(days=1, hours=11), "About 1 day left."),
        (timedelta(hours=13), "About 1 day left."),
        (timedelta(hours=11), "Less than a day left."),
        (timedelta(seconds=1), "Less than a day left."),
        (timedelta(0), "Your days ended on 24/11."),
        (-timedelta(days=3), "Your days ended on 21/11."),
    ],
)
def test_what_is_left_is_said_about(remaining: timedelta, expected: str) -> None:
    contract = replace(KEYPAD, prepaid=replace(BOUGHT, paid_until=NOW + remaining))
    assert english(left(contract, NOW)) == expected


def test_what_is_left_without_tokens_and_in_kwh() -> None:
    assert english(left(KEYPAD, NOW)) == "No token bought yet."
    kwh = replace(KEYPAD, prepaid=replace(BOUGHT, unit="kwh", paid_until=None))
    assert english(left(kwh, NOW)) == "Last token: 10 kWh, 20/11."


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_left_stays_in_the_alphabet_of_an_sms(language: str) -> None:
    for contract in keypads():
        assert gsm7.septets(words(left(contract, NOW), language, Network())) is not None


def test_the_token_stands_in_threes_with_its_zero() -> None:
    text, _ = shown("meter.token", replace(KEYPAD, prepaid=BOUGHT))
    assert text.splitlines()[1] == "082 162 833"
    assert "Days: 10" in text


def test_tokens_of_earlier_top_ups_come_before_the_newest() -> None:
    bought = replace(BOUGHT, recent=("111222333", "082162833"))
    text, _ = shown("meter.token", replace(KEYPAD, prepaid=bought))
    assert text.splitlines()[1:3] == ["111 222 333", "082 162 833"]
    assert "20/11 at the end" in text
    assert "Days" not in text, "the days of the last top-up are not those of all"


def test_credit_that_became_no_token_is_named() -> None:
    left_over = replace(KEYPAD, prepaid=BOUGHT, credit=Money.units(34_000, "CDF"))
    assert "Credit left for your next tokens: 34 000 FC." in shown("meter", left_over)[0]
    assert "Credit" not in shown("meter", replace(left_over, credit=Money(0, "CDF")))[0]


def test_home_does_not_thank_for_credit_that_is_used_up() -> None:
    expected = {3_000: "nothing due. Credit 3 000 FC.", 0: "credit 0 FC. Top up.", -450: "credit -450 FC. Top up."}
    for units, said in expected.items():
        own = replace(RADIO, kind="prepaid", name="Marie", credit=Money.units(units, "CDF"))
        assert f"Marie: {said}" in shown("home.own", own)[0], units


@pytest.mark.parametrize(
    ("contract", "words_in_it", "choices"),
    [
        (RADIO, "not cut", ("report",)),
        (replace(RADIO, supply="off", why_off="no_credit"), "credit is used up", ("pay", "report")),
        (replace(RADIO, supply="off", why_off="customer_request"), "asked for", ("report",)),
        (replace(RADIO, supply="off", why_off="safety"), "safety", ("report",)),
        (replace(RADIO, supply="off", why_off="nonpayment"), "switched off", ("report",)),
        (KEYPAD, "Top up", ("pay", "report")),
        (replace(KEYPAD, prepaid=BOUGHT), "About 6 days left", ("token", "pay", "report")),
        (replace(KEYPAD, prepaid=replace(BOUGHT, paid_until=NOW)), "Your days ended", ("pay", "report")),
    ],
)
def test_why_it_is_dark(contract: ContractView, words_in_it: str, choices: tuple[str, ...]) -> None:
    text, offered = shown("meter.why", contract)
    assert words_in_it in text
    assert offered == choices


def test_a_bill_that_is_why_leads_to_its_payment() -> None:
    owing = next(c for c in radios() if c.why_off == "nonpayment" and c.invoices and c.reading is None)
    text, offered = shown("meter.why", owing)
    assert owing.due.text in text
    assert offered == ("pay", "report")
    assert menu().state("meter.why").answer(context(owing), Said("pay", "1")) == Go("pay.menu", {"c": 1})


def test_wanted_and_reported_are_two_things() -> None:
    said = {
        (c.supply, c.reading.supply if c.reading else None): shown("meter", c)[0].splitlines()[0].rsplit("supply ")[-1]
        for c in radios()
        if c.meter_id is not None
    }
    assert said == {
        ("on", None): "is on.",
        ("on", "on"): "is on.",
        ("on", "off"): "is coming back.",
        ("off", None): "is off.",
        ("off", "off"): "is off.",
        ("off", "on"): "is about to be cut.",
    }


def test_nobody_sees_the_meter_of_somebody_else() -> None:
    for key in ("meter", "meter.token", "meter.why"):
        with pytest.raises(Gone):
            menu().state(key).show(context(RADIO.without_amounts()))
