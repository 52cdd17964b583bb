"""Giving money back from the console: one asks, another decides."""

from __future__ import annotations

import pytest

from admin.views.money_refunds import read_amount
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.money import Money
from core.payments.tables import RefundRow
from tests import town
from tests.admin import console_town
from tests.admin.conftest import post
from tests.admin.console_town import Console
from tests.admin.money_town import unplaced
from tests.admin.test_money_suspense import logged_in


@pytest.fixture
def home(db: Database, clock: FixedClock) -> town.Home:
    return console_town.everything_happened(db, clock)


@pytest.mark.parametrize(
    ("typed", "minor"),
    [
        ("12500", 1_250_000), ("12 500", 1_250_000), ("12\u202f500 FC", 1_250_000), ("12500,50", 1_250_050),
        ("12.5", 1250), ("12.500", None), ("-5", None), ("", None), ("mille", None), ("1e3", None), (",5", None),
        ("9" * 30, None),
    ],
)  # fmt: skip
def test_amounts_are_read_as_people_type_them(typed: str, minor: int | None) -> None:
    assert read_amount(typed, "CDF") == (Money(minor, "CDF") if minor is not None else None)


def asked(console: Console, clock: FixedClock) -> str:
    """The address of a refund that the office asked for."""
    payment = unplaced(console.money, clock, "COURANT")
    status, location = post(
        logged_in(console, "office"), "/admin/money/refunds/new", payment=payment, amount="12 500", reason="erreur"
    )
    assert status == 303
    return location.partition("?")[0]


def test_one_asks_and_another_approves(home: town.Home, clock: FixedClock, console: Console) -> None:
    refund = asked(console, clock)
    finance = logged_in(console, "finance")
    assert "waits for a second person" in finance.get("/admin/money/refunds").text
    for view, there in (("requested", True), ("paid", False), ("all", True), ("nonsense", True)):
        assert (refund in finance.get(f"/admin/money/refunds?view={view}").text) == there, view
    html = finance.get(refund).text
    assert "Approve: 12 500 FC leaves" in html
    assert post(finance, f"{refund}/decide", word="approve", note="vu")[0] == 303
    html = finance.get(refund).text
    assert "approved, about to leave" in html
    acts = [(e.actor, e.act) for e in console.staff.newest_audit(limit=6)]
    assert ("office", "refund.asked") in acts
    assert ("finance", "refund.approved") in acts
    status, html = post(finance, f"{refund}/decide", word="reject", note="trop tard")
    assert (status, "does not allow it" in html) == (409, True)


def test_whoever_asked_does_not_decide(home: town.Home, clock: FixedClock, console: Console) -> None:
    payment = unplaced(console.money, clock, "COURANT")
    finance = logged_in(console, "finance")
    _, location = post(finance, "/admin/money/refunds/new", payment=payment, amount="12500", reason="erreur")
    refund = location.partition("?")[0]
    html = finance.get(refund).text
    assert "cannot decide on it" in html
    assert "Approve:" not in html
    status, html = post(finance, f"{refund}/decide", word="approve", note="moi-même")
    assert status == 409
    assert "cannot decide on it" in html
    assert console.staff.newest_audit()[0].act == "refund.approved.refused"


def test_too_much_and_nonsense_are_refused_with_what_was_typed(
    home: town.Home, clock: FixedClock, console: Console
) -> None:
    payment = unplaced(console.money, clock, "COURANT")
    client = logged_in(console, "office")
    status, html = post(client, "/admin/money/refunds/new", payment=payment, amount="13 000", reason="le motif")
    assert status == 409
    assert "More than what is left of this payment." in html
    assert 'value="13 000"' in html
    assert "le motif" in html
    status, html = post(client, "/admin/money/refunds/new", payment=payment, amount="beaucoup", reason="x")
    assert (status, "This is no amount." in html) == (400, True)
    status, html = post(client, "/admin/money/refunds/new", payment=payment, amount="12 500", reason=" ")
    assert (status, "Give a reason." in html) == (409, True)


def test_a_request_is_rejected_or_taken_back(home: town.Home, clock: FixedClock, console: Console) -> None:
    refund = asked(console, clock)
    assert post(logged_in(console, "finance"), f"{refund}/decide", word="", note="")[0] == 400
    assert post(logged_in(console, "office"), f"{refund}/cancel")[0] == 303
    assert "rejected" in logged_in(console, "office").get(refund).text


def test_what_hangs_is_concluded_by_a_person(
    home: town.Home, clock: FixedClock, console: Console, db: Database
) -> None:
    refund = asked(console, clock)
    finance = logged_in(console, "finance")
    post(finance, f"{refund}/decide", word="approve", note="vu")
    with db.begin() as session:
        row = session.get_one(RefundRow, refund.rpartition("/")[2])
        row.state, row.next_query_at = "needs_attention", None
    assert "What did the operator say?" in finance.get(refund).text
    assert post(finance, f"{refund}/conclude", word="paid", note="")[0] == 400
    assert post(finance, f"{refund}/conclude", word="paid", note="M. Ilunga, 10h")[0] == 303
    assert "given back" in finance.get(refund).text


@pytest.mark.parametrize("word", ["paid", "failed"])
def test_what_the_operator_contradicts_stands_on_the_list_until_a_person_closes_it(
    home: town.Home, clock: FixedClock, console: Console, db: Database, word: str
) -> None:
    refund = asked(console, clock)
    refund_id, finance = refund.rpartition("/")[2], logged_in(console, "finance")
    post(finance, f"{refund}/decide", word="approve", note="vu")
    with db.begin() as session:
        session.get_one(RefundRow, refund_id).state = "needs_attention"
    post(finance, f"{refund}/conclude", word="paid", note="M. Ilunga, 10h")
    assert refund not in finance.get("/admin/money/refunds").text
    with db.begin() as session:
        session.get_one(RefundRow, refund_id).code = "paid_then_failed"
    for view in ("open", "needs_attention", "all"):
        assert refund in finance.get(f"/admin/money/refunds?view={view}").text
    assert refund not in finance.get("/admin/money/refunds?view=paid").text
    html = finance.get(refund).text
    assert "contradicts itself" in html
    assert "paid_then_failed" in html
    assert post(finance, f"{refund}/conclude", word=word, note="M. Ilunga, 11h")[0] == 303
    assert refund not in finance.get("/admin/money/refunds").text
    assert refund in finance.get(f"/admin/money/refunds?view={word}").text


def test_a_payment_of_a_wallet_that_cannot_says_so(
    home: town.Home, clock: FixedClock, console: Console, db: Database
) -> None:
    story = console.desk.story(home.customer.id, kinds=("paid",)).entries[0]
    html = logged_in(console, "office").get(f"/admin/money/refunds/new?payment={story.id}").text  # type: ignore[union-attr]
    assert "This wallet cannot give money back." in html
    assert "Ask for it" not in html


def test_refunds_as_csv(home: town.Home, clock: FixedClock, console: Console) -> None:
    asked(console, clock)
    text = logged_in(console, "finance").get("/admin/money/refunds.csv").data.decode("utf-8-sig")
    assert "erreur" in text
    assert console.staff.newest_audit()[0].act == "export.refunds"


def test_the_story_and_the_attempt_lead_to_giving_back(home: town.Home, console: Console) -> None:
    office = logged_in(console, "office")
    story = office.get(f"/admin/customers/{home.customer.id}").text
    assert "/admin/money/refunds/new?payment=" in story
    assert "/admin/money/attempts/" in story
    viewer = logged_in(console, "viewer").get(f"/admin/customers/{home.customer.id}").text
    assert "/admin/money/" not in viewer
