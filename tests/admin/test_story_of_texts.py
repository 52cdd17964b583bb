"""What a customer wrote by SMS stands beside what she was told."""

from __future__ import annotations

from collections.abc import Callable

from flask.testing import FlaskClient

from core.db import Database
from core.kernel.clock import FixedClock
from core.notices.tables import InboundSmsRow
from tests import town
from tests.admin.console_town import Console


def test_the_story_shows_what_was_written(
    db: Database, clock: FixedClock, console: Console, as_role: Callable[[str], FlaskClient]
) -> None:
    del console
    with db.begin() as session:
        home = town.home(session)
        customer, phone = home.customer.id, home.phone
        for number, body, handled in ((phone, "Solde svp <b>", "balance"), ("+243970009999", "somebody else's", "pay")):
            session.add(
                InboundSmsRow(
                    gateway="africastalking",
                    gateway_ref=body,
                    phone=number,
                    body=body,
                    received_at=clock.now(),
                    handled=handled,
                )
            )
    office = as_role("office")
    page = office.get(f"/admin/customers/{customer}?kind=told").text
    assert "Solde svp &lt;b&gt;" in page
    assert "somebody else" not in page
    assert "Solde svp" in office.get(f"/admin/customers/{customer}/story.csv?kind=told").text
