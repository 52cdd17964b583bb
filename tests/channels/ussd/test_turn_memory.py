"""What survives a turn, and what must not: crashes, busy databases, lost sessions, PINs, the journal."""

from __future__ import annotations

import threading

import pytest
import redis
from sqlalchemy import select
from structlog.testing import capture_logs

from channels.ussd import sessions
from channels.ussd.journal import drain
from channels.ussd.menu.engine import Again, Context, Go, Menu, Plain, Said, Step
from channels.ussd.menu.journeys import ALL_STATES
from channels.ussd.menu.screen import Screen, line
from channels.ussd.sessions import JOURNAL, SessionStore
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.errors import NotRecorded
from core.payments.model import BeginRefused
from core.services.turns import Turns
from core.turns.tables import TurnRow
from tests.channels.ussd.turn_table import Caller
from tests.channels.ussd.ussd_world import SECRET, FakePayments, Phone, Site, populate
from tests.realparts import wait_until

pytestmark = pytest.mark.redis_server


@pytest.fixture
def customer(db: Database) -> Caller:
    return populate(db, 1)[0]


@pytest.fixture
def phone(site: Site, customer: Caller) -> Phone:
    return Phone(site, customer.phone)


def test_a_lost_session_is_offered_again(phone: Phone, payments: FakePayments) -> None:
    phone.dial()
    phone.types("8")
    asked = phone.types("5000")
    home = phone.dial()
    assert "5 000 FC" in home
    assert phone.types("0") == asked
    assert phone.types("1").startswith("END ")
    assert payments.attempts(phone.number) == 1
    assert "5 000 FC" not in phone.dial(), "it was paid: nothing to go on with"


def test_a_dial_with_input_ignores_the_lost_session(phone: Phone) -> None:
    phone.dial("8*5000")
    assert "5 000 FC" not in phone.dial("3")


def test_going_back_from_the_confirmation_forgets_it(phone: Phone) -> None:
    phone.dial("8*5000")
    phone.types("0")
    assert "5 000 FC" not in phone.dial()


def test_another_caller_is_not_offered_it(site: Site, db: Database) -> None:
    one, two = populate(db, 2)
    Phone(site, one.phone).dial("8*5000")
    assert "5 000 FC" not in Phone(site, two.phone).dial()


def test_another_wallet_and_number(phone: Phone, payments: FakePayments) -> None:
    phone.dial("1*1")
    phone.types("2")
    assert "Airtel Money" in phone.types("2")
    assert phone.types("12").startswith("CON ")
    assert "097***5678" in phone.types("0971235678")
    assert phone.types("1").startswith("END ")
    (request,) = payments.begun.values()
    assert (request.payer_phone, request.brand, request.asked_by_phone) == ("+243971235678", "airtel", phone.number)


def test_paying_for_somebody_else(site: Site, db: Database, payments: FakePayments) -> None:
    payer, owner = populate(db, 2)
    phone = Phone(site, payer.phone)
    phone.dial("2")
    wrong = owner.account[:-1] + str((int(owner.account[-1]) + 1) % 10)
    assert owner.grouped not in phone.types(wrong)
    assert owner.grouped in phone.types(owner.account)
    asked = phone.types("7000")
    assert "M*** K***" in asked
    assert "Marie" not in asked
    assert phone.types("1").startswith("END ")
    (request,) = payments.begun.values()
    assert (request.amount.text, request.asked_by_phone) == ("7 000 FC", payer.phone)


def test_typed_ahead_for_somebody_else_stops_too(site: Site, db: Database, payments: FakePayments) -> None:
    payer, owner = populate(db, 2)
    asked = Phone(site, payer.phone).dial(f"2*{owner.account}*7000*1*1*1")
    assert "M*** K***" in asked
    assert payments.calls == 0


def test_language_is_chosen_once_and_kept(phone: Phone) -> None:
    phone.dial("6*2")
    assert phone.types("6").startswith("CON Marie 0.:")
    english = phone.dial()
    assert "1. Pay" in english
    assert "2. Other account" in english


def test_a_busy_database_says_so_and_changes_nothing(site: Site, phone: Phone, payments: FakePayments) -> None:
    site.customers.fail = True
    answer = phone.dial()
    assert answer.startswith("END ")
    site.customers.fail = False
    assert phone.send() == answer, "the same request has the same answer"
    phone.dial("1*1")
    payments.answers.append(NotRecorded("busy"))
    with capture_logs() as logs:
        end = phone.types("1")
    assert end.startswith("END ")
    assert phone.send() == end
    said = [entry for entry in logs if entry["event"] == "ussd_not_recorded"]
    assert [entry["why"] for entry in said] == ["busy"], "the operator of the system reads why"
    assert phone.number[-7:] not in str(said)
    assert payments.begun == {}
    assert site.counts["not_recorded"] == 2


@pytest.mark.parametrize(
    "why", ["already_open", "contract_closed", "invoice_not_open", "nothing_to_pay", "amount_out_of_range"]
)
def test_a_payment_that_is_refused_says_why(phone: Phone, payments: FakePayments, why: str) -> None:
    phone.dial("1*1")
    payments.answers.append(BeginRefused(why, "pending"))  # type: ignore[arg-type]
    end = phone.types("1")
    assert end.startswith("END ")
    assert phone.send() == end
    assert payments.begun == {}


def test_a_crash_after_the_commit_finds_the_same_end(phone: Phone, payments: FakePayments, client: redis.Redis) -> None:
    """The process died between its commit and its write: another one runs the turn again, and begins nothing new."""
    phone.dial("1*1")
    before = {k: client.dump(k) for k in client.keys("ussd:*")}
    end = phone.types("1")
    client.flushall()
    for key, value in before.items():
        assert value is not None
        client.restore(key, 600_000, value)
    assert phone.send() == end
    assert len(payments.begun) == 1
    assert payments.calls == 2


def test_a_crashed_turn_is_taken_over(
    phone: Phone, site: Site, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody holds the lock and died: whoever waits goes on when it has run out."""
    phone.dial()
    store = SessionStore(client, SECRET)
    keys = store.keys("africastalking", phone.session, phone.number, "*123#")
    client.set(keys.lock, "somebody", px=300)
    assert phone.types("1").startswith("CON ")


def test_one_who_was_taken_over_gives_the_others_answer(client: redis.Redis, clock: FixedClock) -> None:
    store, today = SessionStore(client, SECRET), clock.real_now().date()
    keys = store.keys("g", "s", "+243815550001", "*123#")
    slow = store.claim(keys, length=0, digest="d", token="slow", today=today)
    client.delete(keys.lock)
    quick = store.claim(keys, length=0, digest="d", token="quick", today=today)
    assert isinstance(slow, sessions.Claimed)
    assert isinstance(quick, sessions.Claimed)

    def outcome(answer: bytes) -> sessions.Outcome:
        return sessions.Outcome(0, "d", answer, "{}", False, sessions.KEEP_RESUME, "[]")

    assert store.write(keys, slow, outcome(b"slow")) is None, "the quick one holds the lock"
    assert store.write(keys, quick, outcome(b"quick")) == b"quick"
    assert store.write(keys, slow, outcome(b"slow")) == b"quick"
    assert client.llen(JOURNAL) == 1


def test_a_session_that_fell_silent_is_over(phone: Phone, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    home = phone.dial()
    monkeypatch.setattr(sessions, "SESSION_TTL_S", -1)
    assert phone.types("1").startswith("END ")
    phone.typed = ""
    assert phone.send() == home
    assert site.counts["over"] == 1


class Pin(Plain):
    """A PIN step, as the agents' journeys will have."""

    key = "pin"
    secret = True

    def show(self, ctx: Context) -> Screen:
        return Screen((line("PIN?"),))

    def answer(self, ctx: Context, said: Said) -> Step:
        return Go("language") if said.text == "735291" else Again(line("Wrong."))


class ToPin(Plain):
    key = "home"

    def show(self, ctx: Context) -> Screen:
        return Screen((line("Welcome"),), back=False)

    def answer(self, ctx: Context, said: Said) -> Step:
        return Go("pin")


def test_a_pin_reaches_no_store_and_is_never_typed_ahead(
    db: Database,
    client: redis.Redis,
    clock: FixedClock,
    phone: Phone,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def menu() -> Menu:
        return Menu({s.key: s for s in (*ALL_STATES, Pin(), ToPin())})

    phone.site = Site(db, client, FakePayments(), clock, states=menu)
    ahead = phone.dial("1*735291")
    assert "PIN?" in ahead, "digits typed ahead never pass a PIN step"
    phone.dial("1")
    assert "Wrong." in phone.types("111111")
    assert "Lingala" in phone.types("735291")
    drain(client, Turns(db))
    kept = b"".join(client.dump(k) or b"" for k in client.keys("*"))
    with db.read() as session:
        rows = "".join(repr(vars(row)) for row in session.scalars(select(TurnRow)))
    said = capsys.readouterr()
    for secret in ("735291", "111111"):
        assert secret.encode() not in kept
        assert secret not in rows
        assert secret not in said.out + said.err


def test_the_journal_reaches_the_database_once(
    phone: Phone, db: Database, client: redis.Redis, customer: Caller
) -> None:
    phone.dial()
    phone.types("1")
    phone.send()
    phone.types("1")
    phone.types("1")
    client.rpush(JOURNAL, b"not an entry")
    assert client.llen(JOURNAL) == 5
    assert drain(client, Turns(db)) == 5
    assert drain(client, Turns(db)) == 0
    with db.read() as session:
        rows = session.scalars(select(TurnRow).order_by(TurnRow.position)).all()
    assert [(r.position, r.typed, r.state, r.ended) for r in rows] == [
        (0, "", "home", False),
        (1, "1", "pay.menu", False),
        (2, "1", "pay.confirm", False),
        (3, "1", "pay.begun", True),
    ]
    assert {r.phone for r in rows} == {customer.phone}
    assert "10 000 FC" in rows[0].screen


def test_a_batch_that_fails_stays_on_the_list(phone: Phone, client: redis.Redis) -> None:
    class Busy:
        def record(self, entries: object) -> None:
            raise NotRecorded("busy")

    phone.dial()
    with pytest.raises(NotRecorded):
        drain(client, Busy())
    assert client.llen(JOURNAL) == 1


def test_a_duplicate_waits_for_the_first_ones_answer(phone: Phone, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is held inside its look-up; the copy answers only after it, with the same bytes."""
    inside, go_on = threading.Event(), threading.Event()
    look = site.customers.snapshot
    looks: list[str] = []

    def held(number: str, account: str | None = None, *, details: bool = True, turn_key: str | None = None) -> object:
        looks.append(number)
        inside.set()
        assert go_on.wait(60)
        return look(number, account, details=details, turn_key=turn_key)

    phone.dial()
    monkeypatch.setattr(site.customers, "snapshot", held)
    phone.typed = "1"
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(phone.send())) for _ in range(3)]
    threads[0].start()
    assert inside.wait(60)
    for copy in threads[1:]:
        copy.start()
    go_on.set()
    for thread in threads:
        thread.join()
    wait_until(lambda: len(answers) == 3, what="three answers")
    assert len(set(answers)) == 1
    assert len(looks) == 1
