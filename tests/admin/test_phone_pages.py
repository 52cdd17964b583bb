"""The console's page of a customer's phones: what it shows, what each form does, who may."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from core.customers.tables import PhoneLinkRow
from core.db import Database
from tests import town
from tests.admin.conftest import post
from tests.admin.console_town import Console

GUEST, MEMBER = "+243995550111", "+243845550222"


@pytest.fixture
def home(db: Database, console: Console) -> town.Home:
    """A customer with a holder, a member, and a phone that asks."""
    with db.begin() as session:
        made = town.home(session)
        town.phone_link(session, made.customer, phone=MEMBER, role="member")
    console.links.ask(GUEST, made.account_number, language="fr", turn_key="t", say=lambda did: "END")
    return made


@pytest.fixture
def office(as_role: Callable[[str], FlaskClient]) -> FlaskClient:
    return as_role("office")


def link_of(db: Database, phone: str) -> PhoneLinkRow | None:
    with db.read() as session:
        return session.scalars(select(PhoneLinkRow).where(PhoneLinkRow.phone == phone)).one_or_none()


def page_of(home: town.Home, act: str = "") -> str:
    return f"/admin/customers/{home.customer.id}/phones{act and '/' + act}"


def test_the_customers_page_says_who_asks(home: town.Home, office: FlaskClient) -> None:
    html = office.get(f"/admin/customers/{home.customer.id}").text
    assert page_of(home) in html
    assert "#requests" in html


def test_the_office_links_who_asked(
    db: Database, console: Console, home: town.Home, office: FlaskClient, as_role: Callable[[str], FlaskClient]
) -> None:
    html = office.get(page_of(home)).text
    assert "0995 550 111" in html
    request = console.links.requests(home.customer.id)[0].id
    status, where = post(office, page_of(home, "answer"), request=str(request), role="member")
    assert (status, where) == (303, page_of(home) + "?done=confirmed")
    link = link_of(db, GUEST)
    assert link is not None
    assert (link.role, link.confirmed_at is not None) == ("member", True)
    # Somebody else's page was open at the same moment: nothing is done twice, and it says so.
    assert post(office, page_of(home, "answer"), request=str(request), role="")[0] == 409
    assert link_of(db, GUEST) is not None
    audit = as_role("admin").get("/admin/audit").text
    assert "link.confirmed" in audit
    assert "099***0111, member" in audit
    assert GUEST not in audit


def test_the_office_refuses_renews_marks_and_takes_off(
    db: Database, console: Console, home: town.Home, office: FlaskClient
) -> None:
    request = console.links.requests(home.customer.id)[0].id
    assert post(office, page_of(home, "answer"), request=str(request), role="")[0] == 303
    assert link_of(db, GUEST) is None
    member = link_of(db, MEMBER)
    assert member is not None
    assert post(office, page_of(home, "sim"), link=str(member.id))[0] == 303
    stale = link_of(db, MEMBER)
    assert stale is not None
    assert stale.fresh_until is None
    assert post(office, page_of(home, "confirm"), link=str(member.id), role="payer")[0] == 303
    payer = link_of(db, MEMBER)
    assert payer is not None
    assert (payer.role, payer.fresh_until is not None) == ("payer", True)
    assert post(office, page_of(home, "remove"), link=str(member.id))[0] == 303
    assert link_of(db, MEMBER) is None
    assert post(office, page_of(home, "remove"), link=str(member.id))[0] == 409
    html = office.get(page_of(home)).text
    assert html.count("office</td>") == 4


def test_a_form_of_another_customers_page_does_nothing(db: Database, home: town.Home, office: FlaskClient) -> None:
    with db.begin() as session:
        other = town.home(session)
    link = link_of(db, MEMBER)
    assert link is not None
    assert post(office, page_of(other, "remove"), link=str(link.id))[0] == 409
    assert post(office, page_of(home, "remove"), link="1; drop")[0] == 404
    assert post(office, page_of(home, "confirm"), link=str(link.id), role="king")[0] == 404
    assert office.get("/admin/customers/999/phones").status_code == 404
    assert link_of(db, MEMBER) is not None


def test_who_only_looks_on_gets_no_form(db: Database, home: town.Home, as_role: Callable[[str], FlaskClient]) -> None:
    viewer = as_role("viewer")
    html = viewer.get(page_of(home)).text
    assert "/phones/" not in html
    link = link_of(db, MEMBER)
    assert link is not None
    assert post(viewer, page_of(home, "remove"), link=str(link.id))[0] == 403
