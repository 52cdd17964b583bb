"""The console's page of a customer's e-mails: what it shows, what each form does, who may."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from core.db import Database
from core.kernel.clock import WEST, FixedClock
from core.notices.mailing import stage_email
from core.notices.tables import EmailAddressRow, NoticeRow
from core.outbox import OutboxRow
from core.staff.tables import AuditRow
from tests import town
from tests.admin.conftest import post

TO = "marie@example.cd"


@pytest.fixture
def home(db: Database, clock: FixedClock) -> town.Home:
    """A customer whose e-mail did not arrive."""
    with db.begin() as session:
        made = town.home(session)
        made.customer.email = TO
        notice_id = stage_email(
            session, clock=clock, kind="supply.on", key="k", recipient=TO, name="x", language="fr",
            blanks={"account": "1"}, zone=WEST, customer_id=made.customer.id, contract_id=made.contract.id,
        )  # fmt: skip
        row = session.get_one(NoticeRow, notice_id)
        row.state, row.detail = "failed", "5.1.1 no such user"
        session.scalars(select(OutboxRow)).one().state = "done"
        session.add(
            EmailAddressRow(
                address=TO, bounced_at=clock.now() - timedelta(hours=1), bounce_code="5.1.1", bounce_reason="x"
            )
        )
    return made


def page_of(home: town.Home, act: str = "") -> str:
    return f"/admin/customers/{home.customer.id}/emails{act and '/' + act}"


def test_the_page_says_that_nothing_arrives(home: town.Home, as_role: Callable[[str], FlaskClient]) -> None:
    office = as_role("office")
    assert page_of(home) in office.get(f"/admin/customers/{home.customer.id}").text
    html = office.get(page_of(home)).text
    for part in (TO, "5.1.1 no such user", page_of(home, "again"), page_of(home, "address")):
        assert part in html
    assert office.get("/admin/customers/999/emails").status_code == 404


def test_a_person_lets_the_address_and_the_letter_be_tried_again(
    db: Database, home: town.Home, as_role: Callable[[str], FlaskClient]
) -> None:
    office = as_role("office")
    with db.read() as session:
        letter = str(session.scalars(select(NoticeRow.id)).one())
    assert post(office, page_of(home, "address")) == (303, page_of(home) + "?done=address")
    assert post(office, page_of(home, "again"), letter=letter) == (303, page_of(home) + "?done=again")
    with db.read() as session:
        assert session.get_one(EmailAddressRow, TO).bounced_at is None
        assert session.scalars(select(NoticeRow.state)).one() == "queued"
        assert session.scalars(select(OutboxRow.state)).one() == "pending"
        assert {"email.clear", "email.again"} <= set(session.scalars(select(AuditRow.act)))
    assert post(office, page_of(home, "address"))[0] == 409
    assert post(office, page_of(home, "again"), letter=letter)[0] == 409
    assert post(office, page_of(home, "again"), letter="x")[0] == 404


def test_whoever_may_not_work_cases_only_looks(home: town.Home, as_role: Callable[[str], FlaskClient]) -> None:
    viewer = as_role("viewer")
    assert page_of(home, "again") not in viewer.get(page_of(home)).text
