"""A customer who lost the SMS calls: the tokens stand in the story, to be read out."""

from __future__ import annotations

from collections.abc import Callable

from flask.testing import FlaskClient

from core.db import Database
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
