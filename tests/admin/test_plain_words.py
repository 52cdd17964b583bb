"""What processes wrote down is said in the reader's language; what is not known stays as it was written."""

from __future__ import annotations

from typing import Any

import pytest

from admin.plain_words import outcome_said, task_said


def _say(text: str, /, **blanks: Any) -> str:
    """A translation that can be told from the original."""
    return "«" + text.format(**blanks) + "»"


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ("first start: nothing was missed", "«first start: nothing was missed»"),
        ("looked at 5, no price 0", "«looked at: 5», «without a price: 0»"),
        ("3 settled", "«settled: 3»"),
        ("2 expired; 7 deeds of turns forgotten", "«expired: 2», «old turns forgotten: 7»"),
        ("looked at 5, steps 1, given back 0; promises reminded 1, broken 2, kept 0; papers ended 1",
         "«looked at: 5», «notices: 1», «lit again: 0», «promises reminded of: 1», «broken: 2», «kept: 0», "
         "«protections ended: 1»"),
        ("vodacom 12 new, orange 0 new", "««Vodacom M-Pesa»: new lines 12», ««Orange Money»: new lines 0»"),
        ("0 differences", "«differences in the books: 0»"),
        ("what nobody counts", "what nobody counts"),
    ],
)  # fmt: skip
def test_an_outcome_is_said(outcome: str, said: str) -> None:
    assert outcome_said(_say, outcome) == said


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ("Switch supply off (nonpayment).", "«Switch supply off by hand: «not paid».»"),
        ("Wanted off; reports on, relay closed, 230 V.",
         "«Wanted «off»; the meter reports «on», 230 V behind it.»"),
        ("Hand over the warning notice of invoice 12. It names the day 16/11/2026.",
         "«Hand over on paper: «warning with the date», invoice 12.» «It names the day 16/11/2026.»"),
        ("somebody wrote this", "somebody wrote this"),
    ],
)  # fmt: skip
def test_a_task_is_said(detail: str, said: str) -> None:
    assert task_said(_say, detail) == said
