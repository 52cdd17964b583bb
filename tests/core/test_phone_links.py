"""Phone links: who may ask, who decides, what goes stale."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select

from core.customers import links
from core.customers.link_tables import LinkChangeRow, LinkRequestRow
from core.customers.links import LinkRefused
from core.customers.tables import PhoneLinkRow, PhoneRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.errors import NotRecorded
from core.notices.tables import NoticeRow
from core.services.links import PhoneLinks
from core.services.staff import Staff
from core.services.turns import Turns
from core.settlement.effects import holders
from core.staff.tables import AuditRow
from core.turns.deeds import Kept
from core.turns.model import TurnEntry
from tests import town

GUEST, OTHER_GUEST, COHOLDER = "+243995550111", "+243995550112", "+243815550999"
NOBODYS = town.account_number(999_999)
CLERK = "awa"


def end(did: Mapping[str, Any]) -> str:
    return f"END {sorted(did)}"


class Household:
    """One customer with a holder's phone, and the service."""

    def __init__(self, db: Database, clock: FixedClock) -> None:
        self.db, self.clock = db, clock
        self.staff = Staff(db, clock, "a secret of the tests")
        self.links = PhoneLinks(db, clock, self.staff.audit)
        with db.begin() as session:
            self.home = town.home(session)
        self.holder, self.account = self.home.phone, self.home.account_number
        self.customer_id = self.home.customer.id
        self._turns = 0

    def key(self) -> str:
        self._turns += 1
        return f"turn-{self._turns}"

    def ask(self, phone: str = GUEST, account: str | None = None, *, key: str | None = None) -> Kept:
        return self.links.ask(phone, account or self.account, language="sw", turn_key=key or self.key(), say=end)

    def answer(self, request_id: int, *, yes: bool, phone: str | None = None, key: str | None = None) -> Kept:
        return self.links.answer(phone or self.holder, request_id, yes=yes, turn_key=key or self.key(), say=end)

    def remove(self, link_id: int, *, phone: str | None = None) -> Kept:
        return self.links.remove(phone or self.holder, link_id, turn_key=self.key(), say=end)

    def member(self, phone: str, *, role: str = "member", **more: Any) -> int:
        with self.db.begin() as session:
            return town.phone_link(session, self.home.customer, phone=phone, role=role, **more).id

    def request(self, phone: str = GUEST) -> LinkRequestRow:
        with self.db.read() as session:
            found = select(LinkRequestRow).where(LinkRequestRow.phone == phone).order_by(LinkRequestRow.id.desc())
            return session.scalars(found.limit(1)).one()

    def link(self, phone: str = GUEST) -> PhoneLinkRow | None:
        with self.db.read() as session:
            found = select(PhoneLinkRow).where(
                PhoneLinkRow.phone == phone, PhoneLinkRow.customer_id == self.customer_id
            )
            return session.scalars(found).one_or_none()

    def told(self) -> list[tuple[str, str]]:
        """(phone, kind), oldest first."""
        with self.db.read() as session:
            return [(n.recipient, n.kind) for n in session.scalars(select(NoticeRow).order_by(NoticeRow.id))]

    def bodies(self) -> list[str]:
        with self.db.read() as session:
            return list(session.scalars(select(NoticeRow.body).order_by(NoticeRow.id)))

    def acts(self) -> list[str]:
        with self.db.read() as session:
            return list(session.scalars(select(AuditRow.act).order_by(AuditRow.id)))

    def history(self) -> list[tuple[str, str, str | None]]:
        with self.db.read() as session:
            rows = session.scalars(select(LinkChangeRow).order_by(LinkChangeRow.id))
            return [(c.what, c.by, c.role) for c in rows]

    def count(self, table: type) -> int:
        with self.db.read() as session:
            return session.scalar(select(func.count()).select_from(table)) or 0


@pytest.fixture
def house(db: Database, clock: FixedClock) -> Household:
    return Household(db, clock)


@pytest.fixture
def any_house(clean_db: Database, clock: FixedClock) -> Household:
    """On both databases: what the two do differently, and what happens at the same moment."""
    return Household(clean_db, clock)


def test_from_the_request_to_the_link(any_house: Household) -> None:
    """The holder gets one SMS without a whole number or an amount; a yes links the phone as a member and tells it."""
    assert any_house.ask().did == {"asked": True}
    assert any_house.told() == [(any_house.holder, "link.asked")]
    assert "099***0111" in any_house.bodies()[0]
    assert GUEST[-7:] not in any_house.bodies()[0]
    assert any_house.link() is None
    said = any_house.answer(any_house.request().id, yes=True)
    assert said.did["state"] == "confirmed"
    link = any_house.link()
    assert link is not None
    assert (link.role, link.language) == ("member", "sw")
    assert links.is_fresh(link.confirmed_at, link.fresh_until, any_house.clock.now())
    assert any_house.told()[1:] == [(GUEST, "link.confirmed")]
    assert any_house.history() == [("confirmed", any_house.holder, "member")]


def test_a_no_links_nothing_and_quiets_the_next_request(house: Household) -> None:
    house.ask()
    assert house.answer(house.request().id, yes=False).did["state"] == "denied"
    assert house.link() is None
    # It may ask again, and the holder finds it in the menu; but no second SMS pesters her this week.
    assert house.ask().did == {"asked": True}
    assert house.request().state == "open"
    assert house.told() == [(house.holder, "link.asked")]
    assert house.history() == [("denied", house.holder, None)]


def test_the_same_turn_again_does_nothing_and_says_the_same(any_house: Household) -> None:
    first, again = any_house.ask(key="a"), any_house.ask(key="a")
    assert (first, any_house.count(LinkRequestRow), len(any_house.told())) == (again, 1, 1)
    request = any_house.request().id
    yes, yes_again = any_house.answer(request, yes=True, key="b"), any_house.answer(request, yes=True, key="b")
    assert yes == yes_again
    assert len(any_house.told()) == 2


def test_an_account_that_nobody_has_gets_the_same_answers(house: Household) -> None:
    """Asked, asked again while it is open, and over the limit: word for word what a real account gets."""
    for account in (house.account, NOBODYS):
        guests = [f"+24399555{n:04d}" for n in range(links.ASKS_A_DAY_FOR_ACCOUNT + 1)]
        said = [house.ask(phone, account).did for phone in (*guests[:-1], guests[0], guests[-1])]
        assert said == [{"asked": True}] * (len(guests)) + [{"refused": "too_often"}]
        house.clock.advance(days=2)
    assert {kind for _, kind in house.told()} == {"link.asked"}
    assert {phone for phone, _ in house.told()} == {house.holder}


def test_a_phone_asks_only_so_often(house: Household) -> None:
    numbers = [town.account_number(500_000 + n) for n in range(links.ASKS_A_DAY_BY_PHONE)]
    assert [house.ask(GUEST, number).did for number in numbers] == [{"asked": True}] * len(numbers)
    assert house.ask().did == {"refused": "too_often"}
    assert house.told() == []
    house.clock.advance(days=1, minutes=1)
    assert house.ask().did == {"asked": True}
    assert house.told() == [(house.holder, "link.asked")]


def test_one_open_request_per_phone_and_account(any_house: Household) -> None:
    any_house.ask()
    assert any_house.ask().did == {"asked": True}
    assert (any_house.count(LinkRequestRow), len(any_house.told())) == (1, 1)


def test_a_request_ends_after_a_week(house: Household) -> None:
    house.ask()
    request = house.request().id
    house.clock.advance(seconds=links.REQUEST_LIFE.total_seconds())
    assert house.answer(request, yes=True).did == {"refused": "gone"}
    assert house.link() is None
    assert house.links.requests(house.customer_id) == []
    house.ask()
    assert house.request().id != request
    assert house.count(LinkRequestRow) == 2


def test_who_sees_the_account_need_not_ask(house: Household) -> None:
    house.member(GUEST)
    assert house.ask().did == {"refused": "linked"}
    house.member(OTHER_GUEST, role="payer")
    assert house.ask(OTHER_GUEST).did == {"asked": True}
    house.answer(house.request(OTHER_GUEST).id, yes=True)
    link = house.link(OTHER_GUEST)
    assert link is not None
    assert link.role == "member"


@pytest.mark.parametrize("more", [{"fresh": False}, {"confirmed": False}, {"role": "member"}, {"role": "payer"}])
def test_only_a_confirmed_and_fresh_holder_decides(house: Household, more: dict[str, Any]) -> None:
    house.member(COHOLDER, **{"role": "holder", **more})
    house.ask()
    request = house.request().id
    assert house.answer(request, yes=True, phone=COHOLDER).did == {"refused": "not_holder"}
    assert house.answer(request, yes=True, phone=OTHER_GUEST).did == {"refused": "not_holder"}
    assert house.link() is None
    assert (COHOLDER, "link.asked") not in house.told()


def test_nobody_says_yes_to_himself(house: Household) -> None:
    """A holder that went stale asks like anybody: the other holder or the agency decides."""
    house.member(COHOLDER, role="holder", fresh=False)
    assert house.ask(COHOLDER).did == {"asked": True}
    assert house.answer(house.request(COHOLDER).id, yes=True, phone=COHOLDER).did == {"refused": "not_holder"}
    assert house.told() == [(house.holder, "link.asked")]
    house.answer(house.request(COHOLDER).id, yes=True)
    link = house.link(COHOLDER)
    assert link is not None
    # "May see and pay" was said, not "may decide".
    assert (link.role, links.is_fresh(link.confirmed_at, link.fresh_until, house.clock.now())) == ("member", True)


def test_without_a_holder_the_agency_decides(any_house: Household) -> None:
    with any_house.db.begin() as session:
        session.get_one(PhoneLinkRow, 1).fresh_until = None
    assert any_house.ask().did == {"asked": True}
    assert any_house.told() == []
    waiting = any_house.links.requests(any_house.customer_id)
    assert [(r.phone, r.account) for r in waiting] == [(GUEST, any_house.account)]
    any_house.links.office_answers(any_house.customer_id, waiting[0].id, role="holder", by=CLERK)
    link = any_house.link()
    assert link is not None
    assert link.role == "holder"
    assert any_house.told() == [(GUEST, "link.confirmed")]
    assert any_house.acts() == ["link.confirmed"]
    assert any_house.history() == [("confirmed", "staff:awa", "holder")]


def test_the_holder_takes_a_member_off_but_no_holder(house: Household) -> None:
    member, coholder = house.member(GUEST), house.member(COHOLDER, role="holder")
    own = house.link(house.holder)
    assert own is not None
    assert house.remove(coholder).did == {"refused": "holder"}
    assert house.remove(own.id).did == {"refused": "not_holder"}
    assert house.remove(own.id, phone=GUEST).did == {"refused": "not_holder"}
    assert house.remove(member).did == {"removed": "099***0111"}
    assert house.link() is None
    assert house.remove(member, phone=COHOLDER).did == {"refused": "gone"}
    assert house.history() == [("removed", house.holder, None)]


def test_what_the_office_does(any_house: Household) -> None:
    """Confirm, renew, another role, mark the SIM, take off: each with its audit row, and told to the phone."""
    link = any_house.member(GUEST, confirmed=False)
    act = any_house.links
    act.office_confirms(any_house.customer_id, link, role="payer", by=CLERK)
    assert any_house.told() == [(GUEST, "link.payer")]
    act.sim_changed(any_house.customer_id, link, by=CLERK)
    row = any_house.link()
    assert row is not None
    assert row.fresh_until is None
    with any_house.db.read() as session:
        assert session.get_one(PhoneRow, GUEST).sim_changed_at == any_house.clock.now()
    act.office_confirms(any_house.customer_id, link, role="member", by=CLERK)
    row = any_house.link()
    assert row is not None
    assert (row.role, row.fresh_until) == ("member", any_house.clock.now() + links.SILENCE)
    act.office_removes(any_house.customer_id, link, by=CLERK)
    assert any_house.link() is None
    with pytest.raises(LinkRefused):
        act.office_removes(any_house.customer_id, link, by=CLERK)
    assert any_house.acts() == ["link.confirmed", "link.sim_changed", "link.renewed", "link.removed"]
    assert [what for what, _, _ in any_house.history()] == ["confirmed", "sim_changed", "renewed", "removed"]
    assert [c.what for c in act.changes(any_house.customer_id)] == ["removed", "renewed", "sim_changed", "confirmed"]


def test_the_office_acts_on_its_own_customers_links_only(house: Household) -> None:
    """The customer in the address and the link in the form belong together, or nothing happens."""
    link = house.member(GUEST)
    house.ask(OTHER_GUEST)
    other = house.customer_id + 1
    acts: list[Callable[[], None]] = [
        lambda: house.links.office_confirms(other, link, role="member", by=CLERK),
        lambda: house.links.office_removes(other, link, by=CLERK),
        lambda: house.links.sim_changed(other, link, by=CLERK),
        lambda: house.links.office_answers(other, house.request(OTHER_GUEST).id, role="member", by=CLERK),
    ]
    for act in acts:
        with pytest.raises(LinkRefused):
            act()
    assert (house.acts(), house.history()) == ([], [])


def test_a_changed_sim_makes_every_link_of_the_number_stale(house: Household) -> None:
    """Also those of other customers, and a holder among them decides nothing any more."""
    with house.db.begin() as session:
        elsewhere = town.home(session)
        second = town.phone_link(session, elsewhere.customer, phone=house.holder).id
    own = house.link(house.holder)
    assert own is not None
    house.links.sim_changed(house.customer_id, own.id, by=CLERK)
    with house.db.read() as session:
        assert session.get_one(PhoneLinkRow, second).fresh_until is None
    house.ask()
    assert house.answer(house.request().id, yes=True).did == {"refused": "not_holder"}


# -- fresh or stale ---------------------------------------------------------------------------------------------------


def turn(phone: str, clock: FixedClock, position: int = 1) -> TurnEntry:
    at = clock.now().isoformat()
    return TurnEntry(
        "africastalking", f"s{at}", phone, "*123#", at[:10], position, "home", 0, "", "", "", False, None, at, None
    )


def test_a_dial_keeps_a_link_fresh_at_most_one_write_a_day(any_house: Household) -> None:
    link = any_house.member(GUEST)
    with any_house.db.begin() as session:
        session.get_one(PhoneLinkRow, link).fresh_until = any_house.clock.now() + timedelta(days=3)
    turns = Turns(any_house.db)
    turns.record([turn(GUEST, any_house.clock)])
    first = any_house.link()
    assert first is not None
    assert first.fresh_until == any_house.clock.now() + links.SILENCE
    any_house.clock.advance(hours=5)
    turns.record([turn(GUEST, any_house.clock)])
    second = any_house.link()
    assert second is not None
    assert second.fresh_until == first.fresh_until
    any_house.clock.advance(hours=20)
    turns.record([turn(GUEST, any_house.clock), turn(OTHER_GUEST, any_house.clock)])
    third = any_house.link()
    assert third is not None
    assert third.fresh_until == any_house.clock.now() + links.SILENCE


def test_a_dial_wakes_no_stale_link(any_house: Household) -> None:
    """Neither after months of silence, nor after another SIM, though the turn was made before and is drained later."""
    silent = any_house.member(GUEST)
    swapped = any_house.member(OTHER_GUEST)
    before = turn(OTHER_GUEST, any_house.clock)
    any_house.clock.advance(hours=1)
    with any_house.db.begin() as session:
        session.get_one(PhoneLinkRow, silent).fresh_until = any_house.clock.now()
    any_house.links.sim_changed(any_house.customer_id, swapped, by=CLERK)
    Turns(any_house.db).record([turn(GUEST, any_house.clock), before, turn(OTHER_GUEST, any_house.clock, 2)])
    with any_house.db.read() as session:
        assert session.get_one(PhoneLinkRow, silent).fresh_until == any_house.clock.now()
        assert session.get_one(PhoneLinkRow, swapped).fresh_until is None


# -- at the same moment ------------------------------------------------------------------------------------------------


def at_once(*acts: Callable[[], Kept]) -> list[Kept]:
    """Each act in a thread of its own, begun together. Who finds the database busy tries again, as customers do."""
    barrier, said = threading.Barrier(len(acts)), dict[int, Kept]()

    def run(place: int, act: Callable[[], Kept]) -> None:
        barrier.wait(timeout=30)
        while place not in said:
            try:
                said[place] = act()
            except NotRecorded:
                continue

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return [said[place] for place in range(len(acts))]


def test_of_two_holders_answers_the_first_one_counts(any_house: Household) -> None:
    any_house.member(COHOLDER, role="holder")
    any_house.ask()
    request = any_house.request().id
    said = at_once(
        lambda: any_house.links.answer(any_house.holder, request, yes=True, turn_key="one", say=end),
        lambda: any_house.links.answer(COHOLDER, request, yes=False, turn_key="two", say=end),
    )
    late = [s for s in said if s.did.get("refused") == "decided"]
    state = any_house.request().state
    assert len(late) == 1
    assert {s.did["state"] for s in said} == {state}
    assert (any_house.link() is not None) == (state == "confirmed")
    assert [kind for _, kind in any_house.told()].count("link.confirmed") == (state == "confirmed")
    assert len(any_house.history()) == 1


def test_two_holders_take_the_same_member_off(any_house: Household) -> None:
    any_house.member(COHOLDER, role="holder")
    member = any_house.member(GUEST)
    said = at_once(
        lambda: any_house.links.remove(any_house.holder, member, turn_key="one", say=end),
        lambda: any_house.links.remove(COHOLDER, member, turn_key="two", say=end),
    )
    assert sorted(str(s.did) for s in said) == ["{'refused': 'gone'}", "{'removed': '099***0111'}"]
    assert any_house.history() == [("removed", any_house.history()[0][1], None)]


def test_a_phone_asks_twice_at_once(any_house: Household) -> None:
    said = at_once(
        lambda: any_house.links.ask(GUEST, any_house.account, language="fr", turn_key="one", say=end),
        lambda: any_house.links.ask(GUEST, any_house.account, language="fr", turn_key="two", say=end),
    )
    assert [s.did for s in said] == [{"asked": True}] * 2
    assert (any_house.count(LinkRequestRow), len(any_house.told())) == (1, 1)


def test_the_limits_of_a_day_hold_for_requests_at_once(any_house: Household) -> None:
    with any_house.db.begin() as session:
        accounts = [town.home(session).account_number for _ in range(5)]
    by_phone = at_once(*(partial(any_house.ask, account=account, key=f"phone-{account}") for account in accounts))
    guests = [f"+24399555020{n}" for n in range(5)]
    for_account = at_once(*(partial(any_house.ask, guest, key=f"account-{guest}") for guest in guests))
    for said in (by_phone, for_account):
        assert sum(s.did == {"refused": "too_often"} for s in said) == 2
    assert any_house.count(LinkRequestRow) == 6


# -- what SMS say, and to whom -----------------------------------------------------------------------------------------


def test_a_payers_phone_gets_its_own_receipts_and_nothing_else(house: Household) -> None:
    """It is not told what the account owes, nor of money that others paid; a stale phone is told no debt either."""
    house.member(GUEST, role="payer")
    house.member(OTHER_GUEST, fresh=False)
    with house.db.begin() as session:
        people = holders(session, house.home.contract, clock=house.clock)
    assert [(person.phone, person.fresh) for person in people] == [(house.holder, True), (OTHER_GUEST, False)]
