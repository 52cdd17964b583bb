"""Phone links from the keypad: the real menu, turns and service; only payments are played."""

from __future__ import annotations

from datetime import date

import pytest
import redis
from sqlalchemy import func, select, update

from channels.ussd.deeds import links as link_deeds
from core.customers.link_tables import LinkRequestRow
from core.customers.tables import PhoneLinkRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.digits import grouped
from core.kernel.money import Money
from core.services.customers import Customers
from core.services.links import PhoneLinks
from core.services.staff import Staff
from tests import town
from tests.channels.ussd.ussd_world import FakePayments, Phone, Site

pytestmark = pytest.mark.redis_server

GUEST = "+243995550111"
NOBODYS = town.account_number(999_999)
AMOUNT = "28 500 FC"


@pytest.fixture
def links(db: Database, clock: FixedClock) -> PhoneLinks:
    return PhoneLinks(db, clock, Staff(db, clock, "a secret of the tests").audit)


@pytest.fixture
def sites(
    db: Database, client: redis.Redis, payments: FakePayments, clock: FixedClock, links: PhoneLinks
) -> tuple[Site, Site]:
    """Two web processes, as far as USSD goes."""
    deeds = link_deeds.deeds(links)
    first, second = (Site(db, client, payments, clock, deeds=deeds) for _ in range(2))
    return first, second


@pytest.fixture
def home(db: Database, clock: FixedClock) -> town.Home:
    with db.begin() as session:
        made = town.home(session, name="Marie Kabila", language="en")
        town.invoice(session, made.contract, total=Money.units(28_500, "CDF"), state="sent").sent_on = date(2026, 3, 9)
    Customers(db, clock).set_language(GUEST, "en")
    return made


def asks(site: Site, account: str, phone: str = GUEST) -> str:
    """From the dial to what is said of the request."""
    guest = Phone(site, phone)
    guest.dial()
    guest.types("2")
    assert "Its holder is asked first" in guest.types(account)
    return guest.types("1")


def count(db: Database, table: type) -> int:
    with db.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_from_a_strangers_request_to_the_end_of_the_link(
    db: Database, sites: tuple[Site, Site], home: town.Home
) -> None:
    """Asked for, said yes to, seen, taken off: and from the very next key on nothing is seen any more."""
    asked = asks(sites[0], home.account_number)
    assert asked == (
        f"END Noted. If account {grouped(home.account_number)} exists, its holder decides: *123#, then 6 and 1. "
        "Or show your ID at an agency."
    )
    guest, holder = Phone(sites[0], GUEST), Phone(sites[1], home.phone)
    assert AMOUNT not in guest.dial()
    assert AMOUNT in holder.dial()
    holder.types("6")
    # The keys that the SMS and the screen name.
    assert "1. 099***0111 asks" in holder.types("1")
    assert "Say yes only if you know this number" in holder.types("1")
    assert holder.types("1").startswith("END 099***0111 may now see and pay account")
    assert AMOUNT in guest.dial()
    holder.dial()
    holder.types("6")
    assert "1. 099***0111: sees, pays" in holder.types("1")
    assert holder.types("1").startswith("CON Take 099***0111 off")
    assert holder.types("1") == "END 099***0111 does not see your account any more."
    # The guest's session was open all the while.
    after = guest.types("1")
    assert AMOUNT not in after
    assert "Kabila" not in after
    assert AMOUNT not in guest.dial()


def test_the_keys_of_the_sms_lead_a_holder_of_two_accounts_there(
    db: Database, sites: tuple[Site, Site], home: town.Home
) -> None:
    with db.begin() as session:
        town.phone_link(session, town.home(session, name="Jean Mukendi").customer, phone=home.phone, role="holder")
    asks(sites[0], home.account_number)
    holder = Phone(sites[1], home.phone)
    assert "Which account?" in holder.dial()
    holder.types("6")
    assert "1. 099***0111 asks" in holder.types("1")
    holder.types("1")
    assert holder.types("1").startswith("END 099***0111 may now see and pay account")
    holder.dial()
    assert "Which account?" in holder.types("6"), "nobody asks any more: 6 is no number of this screen"


def test_nobody_learns_which_accounts_exist(sites: tuple[Site, Site], home: town.Home) -> None:
    """Word for word the same, but for the number that was typed."""
    said = [asks(sites[0], account).replace(grouped(account), "#") for account in (home.account_number, NOBODYS)]
    assert said[0] == said[1]
    again = [asks(sites[0], account).replace(grouped(account), "#") for account in (home.account_number, NOBODYS)]
    assert again == said


def test_a_request_that_was_sent_twice_is_one(
    db: Database, client: redis.Redis, sites: tuple[Site, Site], home: town.Home
) -> None:
    """A copy of the turn, also on the other process, also after Redis was emptied, gets the same END."""
    guest = Phone(sites[0], GUEST)
    guest.dial()
    guest.types("2")
    guest.types(home.account_number)
    said = guest.types("1")
    guest.site = sites[1]
    assert guest.send() == said
    client.flushall()
    assert guest.send() == said
    assert count(db, LinkRequestRow) == 1


def test_digits_typed_ahead_stop_before_the_question(db: Database, sites: tuple[Site, Site], home: town.Home) -> None:
    screen = Phone(sites[0], GUEST).dial(f"2*{home.account_number}*1")
    assert screen.startswith("CON See account")
    assert count(db, LinkRequestRow) == 0
    asks(sites[0], home.account_number)
    # Home, more, phones, the request, yes: the yes is not taken.
    assert "Say yes only" in Phone(sites[0], home.phone).dial("6*1*1*1")
    assert count(db, PhoneLinkRow) == 1


def test_who_went_stale_sees_no_request_and_decides_nothing(
    db: Database, sites: tuple[Site, Site], home: town.Home, clock: FixedClock
) -> None:
    """Her yes comes a moment after the office has marked her SIM as changed."""
    asks(sites[0], home.account_number)
    holder = Phone(sites[0], home.phone)
    holder.dial()
    holder.types("6")
    holder.types("1")
    holder.types("1")
    with db.begin() as session:
        session.execute(update(PhoneLinkRow).values(fresh_until=None))
    after = holder.types("1")
    assert "may now see" not in after
    assert AMOUNT not in after
    assert count(db, PhoneLinkRow) == 1
    assert "099***0111" not in holder.dial()


def test_a_member_finds_no_list_of_phones(db: Database, sites: tuple[Site, Site], home: town.Home) -> None:
    with db.begin() as session:
        town.phone_link(session, home.customer, phone=GUEST, role="member", language="en")
    guest = Phone(sites[0], GUEST)
    assert AMOUNT in guest.dial()
    guest.types("6")
    screen = guest.types("1")
    assert "decides which phones see it" in screen
    assert "***" not in screen


def test_a_payer_sees_no_amount_and_pays(db: Database, sites: tuple[Site, Site], home: town.Home) -> None:
    with db.begin() as session:
        town.phone_link(session, home.customer, phone=GUEST, role="payer", language="en")
    guest = Phone(sites[0], GUEST)
    assert AMOUNT not in guest.dial()
    assert "account" in guest.types("1")
    asked = guest.types(home.account_number)
    assert AMOUNT not in asked
    assert "How much do you want to pay" in asked


def test_a_yes_to_one_account_says_that_the_others_come_with_it(
    db: Database, sites: tuple[Site, Site], home: town.Home
) -> None:
    with db.begin() as session:
        town.contract(session, home.customer, home.site, None)
    asks(sites[0], home.account_number)
    holder = Phone(sites[0], home.phone)
    holder.dial()
    for key in ("1", "6", "1"):
        holder.types(key)
    asked = holder.types("1")
    assert f"{grouped(home.account_number)} and your others" in asked
