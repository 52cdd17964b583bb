"""A customer who lost the SMS calls: the tokens stand in the story, to be read out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from core.db import Database
from core.desk.story_tokens import cover
from core.kernel.clock import FixedClock
from core.kernel.digits import grouped
from core.kernel.money import Money
from core.services.prepaid import Keypad
from tests.admin.console_town import Console
from tests.core.prepaid.shop import CODE, KEY, Shop


def test_the_story_shows_what_was_issued(
    db: Database, clock: FixedClock, console: Console, as_role: Callable[[str], FlaskClient]
) -> None:
    del console
    shop = Shop.opened(db, clock, keypad=Keypad(KEY, CODE))
    shop.pays(Money.units(4_500, "CDF"))
    shop.works()
    (issue,) = shop.issues()
    page = as_role("office").get(f"/admin/customers/{shop.home.customer.id}?kind=paid").text
    assert grouped(issue.tokens[0]) in page
    assert shop.home.meter.id in page
    assert "4 500 FC" in page
    table = as_role("office").get(f"/admin/customers/{shop.home.customer.id}/story.csv?kind=paid").text
    assert shop.home.meter.id in table
    assert not any(token in table or grouped(token) in table for token in issue.tokens)


def test_who_may_not_see_tokens_sees_their_last_digits(
    db: Database, clock: FixedClock, console: Console, as_role: Callable[[str], FlaskClient]
) -> None:
    del console
    shop = Shop.opened(db, clock, keypad=Keypad(KEY, CODE))
    shop.pays(Money.units(4_500, "CDF"))
    shop.works()
    (issue,) = shop.issues()
    story = f"/admin/customers/{shop.home.customer.id}"
    page = as_role("viewer").get(story).text
    for token in issue.tokens:
        assert token not in page
        assert grouped(token) not in page
        assert "******" + token[-3:] in page
    assert grouped(shop.home.contract.account_number) in page
    # The text that was sent is in the story as well.
    whole = as_role("office").get(story).text
    assert whole.count(grouped(issue.tokens[0])) > 1
    table = as_role("office").get(f"{story}/story.csv").text
    assert not any(token in table or grouped(token) in table for token in issue.tokens)


@pytest.mark.parametrize(
    ("said", "covered"),
    [
        ("Token 012 345 678. Days: 5.", "Token ******678. Days: 5."),
        ("012 345 678, 112 345 678", "******678, ******678"),
        ("012345678", "******678"),
        ("012 345 678 901 234", "************234"),
        ("012 345 678 901 234 567 89", "*****************789"),
        ("Account 244 212 722 9: 12 000 FC", "Account 244 212 722 9: 12 000 FC"),
        ("Account 244 212 722 9\n012 345 678", "Account 244 212 722 9\n******678"),
        ("+243 810 000 001", "+243 810 000 001"),
    ],
)
def test_what_looks_like_a_token_is_covered(said: str, covered: str) -> None:
    assert cover(said) == covered
