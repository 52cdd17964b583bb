"""The turn and the real payments service together: what is committed, and what the next dial says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import cast

import pytest
import redis
from sqlalchemy import func, select

from channels.ussd.sessions import RedisOpenSessions, SessionStore, connect
from core.db import Database
from core.kernel.clock import FixedClock
from core.payments.ports import Capabilities, Wallet
from core.payments.tables import AttemptRow, CircuitRow
from core.services.payments import Payments
from tests.channels.ussd.turn_table import SCENARIOS, Caller, World
from tests.channels.ussd.ussd_world import SECRET, Line, Site, populate

pytestmark = pytest.mark.redis_server


class NeverCalled:
    """A wallet that only says what it can: no turn may ever call one."""

    name = "fake"
    secrets = ()
    can = Capabilities({"CDF": 0}, True, "none", (30, 60), 120)


class RealPayments(Payments):
    """The service. Its END texts are found with the caller."""

    def end_text(self, turn_key: str) -> str | None:
        return None


@pytest.fixture
def real(db: Database, client: redis.Redis, clock: FixedClock) -> RealPayments:
    wallets = {"fake": cast("Wallet", NeverCalled())}
    routes = dict.fromkeys(("mpesa", "airtel", "orange"), ("fake",))
    return RealPayments(db, clock, wallets, routes, RedisOpenSessions(SessionStore(client, SECRET), client))


@pytest.fixture
def world(
    db: Database, redis_url: str, client: redis.Redis, real: RealPayments, clock: FixedClock
) -> Iterator[Callable[[int], World]]:
    def begun(phone: str) -> int:
        with db.read() as session:
            query = select(func.count()).select_from(AttemptRow).where(AttemptRow.asked_by_phone == phone)
            return session.scalar(query) or 0

    other = connect(redis_url)
    sites = [Site(db, client, real, clock), Site(db, other, real, clock)]
    with sites[0].serving() as one, sites[1].serving() as two:
        yield lambda n: World([one, two], iter(populate(db, n)), begun, lambda: client.flushall())
    assert sum(site.counts["bug"] for site in sites) == 0
    other.close()


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_table_holds_on_the_real_service(name: str, world: Callable[[int], World]) -> None:
    SCENARIOS[name](world(40 if name.startswith("500") else 2), *((40, 20) if name.startswith("500") else ()))


@pytest.fixture
def customer(db: Database) -> Caller:
    return populate(db, 1)[0]


def test_a_payment_under_way_is_told_and_not_begun_again(
    db: Database, client: redis.Redis, real: RealPayments, clock: FixedClock, customer: Caller
) -> None:
    site = Site(db, client, real, clock)
    assert Line(site, customer.phone, "first").send_all("", "1", "1*1", "1*1*1")[-1].startswith("END ")
    home, _, confirm, again = Line(site, customer.phone, "second").send_all("", "1", "1*1", "1*1*1")
    assert home.count("10 000 FC") == 2, "what is due, and what is under way"
    assert "081***0001" in confirm
    assert again.startswith("CON "), "no key on this screen pays"
    with db.read() as session:
        assert session.scalar(select(func.count()).select_from(AttemptRow)) == 1


def test_after_a_failure_it_is_asked_once_more_for_ten_minutes(
    db: Database, client: redis.Redis, real: RealPayments, clock: FixedClock, customer: Caller
) -> None:
    site = Site(db, client, real, clock)
    plain = Line(site, customer.phone, "first").send_all("", "1", "1*1", "1*1*1")[2]
    with db.begin() as session:
        attempt = session.scalars(select(AttemptRow)).one()
        attempt.state, attempt.is_open, attempt.reason, attempt.ended_at = "failed", False, "no_funds", clock.real_now()
    after = Line(site, customer.phone, "second").send_all("", "1", "1*1", "1*1*1")
    assert after[2].removeprefix("CON ").endswith(plain.removeprefix("CON "))
    assert after[2] != plain, "one line more: why it failed"
    assert after[3].startswith("END ")
    with db.begin() as session:
        for attempt in session.scalars(select(AttemptRow)):
            attempt.state, attempt.is_open, attempt.ended_at = "failed", False, clock.real_now()
    clock.advance(minutes=11)
    assert Line(site, customer.phone, "third").send_all("", "1", "1*1")[2] == plain


def leave_alone(db: Database, clock: FixedClock, *wallets: str) -> None:
    with db.begin() as session:
        for name in wallets:
            until = clock.real_now() + timedelta(seconds=60)
            session.add(CircuitRow(wallet=name, failures=5, trips=1, open_until=until, changed_at=clock.real_now()))


def test_an_operator_that_is_left_alone_is_not_offered_until_it_may_be_asked_again(
    db: Database, client: redis.Redis, real: RealPayments, clock: FixedClock, customer: Caller
) -> None:
    site = Site(db, client, real, clock)
    confirm = Line(site, customer.phone, "before").send_all("", "1", "1*1")[2]
    leave_alone(db, clock, "fake")
    # This process has not looked yet: what it does not know, the transaction that begins the payment knows.
    refused = Line(site, customer.phone, "unaware").send_all("", "1", "1*1", "1*1*1")[3]
    assert refused.startswith("CON M-Pesa ")
    real.circuits.refresh()
    assert Line(site, customer.phone, "aware").send_all("", "1", "1*1")[2].startswith("END ")
    with db.read() as session:
        assert session.scalar(select(func.count()).select_from(AttemptRow)) == 0
    clock.advance(seconds=61)
    assert Line(site, customer.phone, "after").send_all("", "1", "1*1")[2] == confirm


def test_the_second_wallet_of_a_brand_collects_while_the_first_is_left_alone(
    db: Database, client: redis.Redis, clock: FixedClock, customer: Caller
) -> None:
    first, second = NeverCalled(), NeverCalled()
    first.name, second.name = "first", "second"
    wallets = {wallet.name: cast("Wallet", wallet) for wallet in (first, second)}
    sessions = RedisOpenSessions(SessionStore(client, SECRET), client)
    both = RealPayments(db, clock, wallets, {"mpesa": ("first", "second")}, sessions)
    leave_alone(db, clock, "first")
    both.circuits.refresh()
    assert Line(Site(db, client, both, clock), customer.phone).send_all("", "1", "1*1", "1*1*1")[3].startswith("END ")
    with db.read() as session:
        assert session.scalars(select(AttemptRow.wallet)).all() == ["second"]


def test_an_amount_nobody_means_is_asked_for_again(
    db: Database, client: redis.Redis, clock: FixedClock, real: RealPayments, customer: Caller
) -> None:
    """Before the confirmation, not after it."""
    line = Line(Site(db, client, real, clock), customer.phone)
    small, large, right = line.send_all("", "1", "1*2", "1*2*1", "1*2*1*99999999", "1*2*1*99999999*100")[3:]
    assert small.startswith("CON Le plus petit montant est 100 FC.")
    assert large.startswith("CON Trop à la fois")
    assert "100 FC" in right
    assert "1. Oui" in right
