"""Every refusal of an agent is a sentence that fits, in six languages; and every screen with the longest amounts."""

from __future__ import annotations

import pytest

from channels.ussd.menu.agent_examples import agent_contexts
from channels.ussd.menu.engine import Context
from channels.ussd.menu.examples import AGENCIES, ALL_WELL, SERVICE_CODE, contexts
from channels.ussd.menu.fit import fit
from channels.ussd.menu.graph import shown
from channels.ussd.menu.journeys import menu
from channels.ussd.menu.lint import NETWORKS
from channels.ussd.menu.states.agent_words import REFUSALS, refusal, told_no, wait
from core.agents.errors import REFUSAL_CODES
from core.agents.model import AgentRole
from core.customers.model import Snapshot
from core.i18n import LANGUAGES, is_translated
from core.payments.model import RefusalWhy
from tests.channels.ussd.worst_cases import NOW, PHONE

ROLE = AgentRole(1, "A001", "Kiosque", "CDF")
# What only the office meets, and a key that belongs to something else: one sentence for all.
_OFFICE = frozenset(
    {
        "same_key", "cashier_unknown", "phone_taken", "code_taken", "agency_unknown", "phone_invalid",
        "limits_invalid", "limit_below_debt", "rule_invalid",
    }
)  # fmt: skip


def _ctx(code: str) -> Context:
    did = {"refused": code, "minor": 12_345_678_900, "wait": 82_000}
    return Context(Snapshot(PHONE, NOW), SERVICE_CODE, {"did": did}, agent=ROLE, looked_up=False)


def test_every_refusal_of_the_core_is_known_here() -> None:
    assert REFUSALS.keys() | _OFFICE == REFUSAL_CODES
    assert not REFUSALS.keys() & _OFFICE


@pytest.mark.parametrize("code", sorted(REFUSAL_CODES))
def test_each_refusal_is_a_sentence_that_fits(code: str) -> None:
    sentence = refusal(_ctx(code))
    screen = told_no(_ctx(code))
    assert sentence is not None
    assert screen is not None
    for language in LANGUAGES:
        assert is_translated(sentence.text, language)
        for network in NETWORKS:
            text = fit(screen, language, network=network).text
            assert "{" not in text
            assert ("123 456 789 FC" in text) is ("{amount}" in sentence.text)
            assert ("23 h" in text) is ("{time}" in sentence.text)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 s"),
        (15, "15 s"),
        (60, "60 s"),
        (300, "5 min"),
        (301, "6 min"),
        (3600, "60 min"),
        (7201, "3 h"),
        (86_400, "24 h"),
    ],
)
def test_waits_are_rounded_up(seconds: int, words: str) -> None:
    assert wait(seconds) == words


def test_whatever_keeps_float_from_being_bought_has_a_sentence() -> None:
    refused = menu().state("agent.buy_refused")
    for why in RefusalWhy.__args__:  # type: ignore[attr-defined]
        params = {"why": why, "state": None, "brand": "airtel", "minor": 100, "payer": PHONE}
        ctx = Context(Snapshot(PHONE, NOW), SERVICE_CODE, params, agent=ROLE, looked_up=False)
        assert refused.show(ctx).lines


def test_every_screen_of_agents_fits_with_the_longest_amounts() -> None:
    """Each page of each, in six languages on four networks; amounts, codes and accounts stand there whole."""
    pages = 0
    for key in (key for key in menu().keys if key.startswith("agent.")):
        for ctx, screen in shown(menu(), key, contexts):
            for language in LANGUAGES:
                for network in NETWORKS:
                    text = fit(screen, language, network=network).text
                    pages += 1
                    if key == "agent.confirm" and "refused" not in ctx.params["did"]:
                        amount = "123 456 789 FC" if ctx.agent and ctx.agent.currency == "CDF" else "1 234 567,89 USD"
                        assert text.count(amount) == 3, text
    assert pages > 2_000
    assert len(list(agent_contexts("agent.wallet", SERVICE_CODE, (ALL_WELL, {}), AGENCIES))) == 8


def test_screens_of_agents_look_at_no_snapshot() -> None:
    """Nobody is looked up there: whoever shows them gives a number and a moment."""
    for key in (key for key in menu().keys if key.startswith("agent.")):
        for ctx in contexts(key):
            assert ctx.snapshot == Snapshot(ctx.phone, NOW)
            assert not ctx.looked_up
