"""What stands in the tables as a code stands on the console as words."""

from __future__ import annotations

import pytest

from admin import words
from core.notices.texts import KINDS
from core.settlement.dunning import NONPAYMENT, SWEEP
from core.turns.rules import HOWS


@pytest.mark.parametrize("how", HOWS)
def test_how_a_dial_ended_is_said_in_words(how: str) -> None:
    assert words.state("dial", how)[0]


@pytest.mark.parametrize("cause", [SWEEP, NONPAYMENT, "cut_batch", "invoice_sent", "wallet_money", "operator_reversed"])
def test_why_a_decision_was_taken_is_said_in_words(cause: str) -> None:
    assert words.name("cause", cause) != cause


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_sms_is_said_in_words(kind: str) -> None:
    assert words.name("notice", kind) != kind


@pytest.mark.parametrize("kind", ["prepaid.token", "prepaid.short", "sms.answer"])
def test_every_task_is_said_in_words(kind: str) -> None:
    assert words.name("queue", kind) != kind
