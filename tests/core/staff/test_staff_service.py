"""Logging in, resting, sessions, second factors and the audit log, as the console uses them."""

from __future__ import annotations

from itertools import pairwise

import pyotp
import pytest
from argon2 import PasswordHasher
from sqlalchemy import select, update

from core.db import Database
from core.kernel.clock import FixedClock
from core.services.staff import LoggedIn, Refused, Staff
from core.staff.errors import LoginTaken, WeakPassword, WrongCode, WrongPassword
from core.staff.rules import GRANTED, Permission, Role, wait_after
from core.staff.tables import AuditRow, StaffSessionRow, StaffUserRow

PASSWORD = "une lampe dans la nuit"
FAST = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class CountingHasher(PasswordHasher):
    """Counts how often a password was really checked."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.checked = 0

    def verify(self, *args: object) -> bool:  # type: ignore[override]
        self.checked += 1
        return super().verify(*args)  # type: ignore[arg-type]


@pytest.fixture
def staff(db: Database, clock: FixedClock) -> Staff:
    service = Staff(db, clock, "a secret of the tests", hasher=FAST)
    service.create_user("Awa", PASSWORD, name="Awa Ilunga", role="office")
    return service


def entered(answer: LoggedIn | Refused) -> LoggedIn:
    assert isinstance(answer, LoggedIn)
    return answer


def test_the_right_password_opens_a_session(staff: Staff) -> None:
    opened = entered(staff.log_in(" awa ", PASSWORD, source="192.0.2.1"))
    who = staff.who(opened.token)
    assert who is not None
    assert (who.login, who.role, who.language) == ("awa", Role.OFFICE, "fr")


def test_only_the_hash_of_the_token_is_kept(staff: Staff, db: Database) -> None:
    opened = entered(staff.log_in("awa", PASSWORD))
    with db.read() as session:
        kept = session.scalars(select(StaffSessionRow.token_hash)).one()
    assert opened.token not in kept
    assert staff.who(kept) is None


@pytest.mark.parametrize("login", ["awa", "nobody", "", "x" * 500])
def test_a_wrong_login_and_a_wrong_password_look_the_same(db: Database, clock: FixedClock, login: str) -> None:
    hasher = CountingHasher()
    service = Staff(db, clock, "a secret of the tests", hasher=hasher)
    service.create_user("awa", PASSWORD, name="Awa", role="viewer")
    assert service.log_in(login, "not the password") == Refused()
    assert hasher.checked == 1, "an unknown login costs one check too, so that time tells nothing"


def test_wrong_tries_make_the_account_rest_longer_and_longer(staff: Staff, clock: FixedClock) -> None:
    for _ in range(5):
        assert staff.log_in("awa", "wrong") == Refused()
    assert staff.log_in("awa", PASSWORD) == Refused(), "resting: the right password does not help"
    clock.advance(seconds=31)
    assert staff.log_in("awa", "wrong") == Refused()
    clock.advance(seconds=31)
    assert staff.log_in("awa", PASSWORD) == Refused(), "the second rest is longer"
    clock.advance(seconds=30)
    entered(staff.log_in("awa", PASSWORD))
    assert staff.log_in("awa", "wrong") == Refused()
    entered(staff.log_in("awa", PASSWORD))


def test_a_rest_only_grows_and_has_an_end() -> None:
    waits = [wait_after(n).total_seconds() for n in range(60)]
    assert waits[:6] == [0, 0, 0, 0, 0, 30]
    assert waits == sorted(waits)
    assert max(waits) == 3600


def test_asking_while_resting_does_not_prolong_the_rest(staff: Staff, clock: FixedClock) -> None:
    for _ in range(5):
        staff.log_in("awa", "wrong")
    for _ in range(50):
        staff.log_in("awa", "wrong")
    clock.advance(seconds=31)
    entered(staff.log_in("awa", PASSWORD))


def test_a_session_ends_when_idle_and_after_eight_hours(staff: Staff, clock: FixedClock) -> None:
    idle = entered(staff.log_in("awa", PASSWORD)).token
    clock.advance(minutes=14)
    assert staff.who(idle)
    clock.advance(minutes=14)
    assert staff.who(idle), "each look keeps it alive"
    clock.advance(minutes=15)
    assert staff.who(idle) is None
    busy = entered(staff.log_in("awa", PASSWORD)).token
    for _ in range(47):
        clock.advance(minutes=10)
        assert staff.who(busy)
    clock.advance(minutes=10)
    assert staff.who(busy) is None, "eight hours, however busy"


def test_log_in_rotates_and_log_out_revokes(staff: Staff) -> None:
    first = entered(staff.log_in("awa", PASSWORD)).token
    second = entered(staff.log_in("awa", PASSWORD, replaces=first)).token
    assert staff.who(first) is None
    assert staff.who(second)
    staff.log_out(second)
    assert staff.who(second) is None
    staff.log_out(second)


def test_another_role_or_a_switched_off_account_ends_every_session(staff: Staff) -> None:
    token = entered(staff.log_in("awa", PASSWORD)).token
    staff.set_role("awa", "finance", actor="root")
    assert staff.who(token) is None
    token = entered(staff.log_in("awa", PASSWORD)).token
    staff.set_active("awa", False, actor="root")
    assert staff.who(token) is None
    assert staff.log_in("awa", PASSWORD) == Refused()
    staff.set_active("awa", True, actor="root")
    entered(staff.log_in("awa", PASSWORD))


@pytest.mark.parametrize("garbage", ["", "x", "x" * 100_000, "\x00", "é"])
def test_a_made_up_token_is_nobody(staff: Staff, garbage: str) -> None:
    assert staff.who(garbage) is None


@pytest.mark.parametrize("password", ["short", "x" * 11, "aaaaaaaaaaaaaa", "motdepasse1234", "awakalala is awakalala"])
def test_weak_passwords_are_refused(staff: Staff, password: str) -> None:
    with pytest.raises(WeakPassword):
        staff.create_user("awakalala", password, name="x", role="viewer")


def test_a_login_is_taken_once(staff: Staff) -> None:
    with pytest.raises(LoginTaken):
        staff.create_user("AWA ", PASSWORD, name="x", role="viewer")


@pytest.mark.parametrize("login", ["system", " System\u200b", "api:website", "bridge"])
def test_nobody_is_called_what_the_audit_log_calls_a_machine(staff: Staff, login: str) -> None:
    with pytest.raises(LoginTaken):
        staff.create_user(login, PASSWORD, name="x", role="viewer")


def test_changing_the_password_asks_for_the_old_one_and_ends_sessions(staff: Staff) -> None:
    opened = entered(staff.log_in("awa", PASSWORD))
    with pytest.raises(WrongPassword):
        staff.change_password(opened.who.staff_id, "not it", "another long password")
    staff.change_password(opened.who.staff_id, PASSWORD, "another long password")
    assert staff.who(opened.token) is None
    assert staff.log_in("awa", PASSWORD) == Refused()
    entered(staff.log_in("awa", "another long password"))


def test_a_code_is_good_once(staff: Staff, clock: FixedClock) -> None:
    me = entered(staff.log_in("awa", PASSWORD)).who
    secret = staff.new_second_factor()
    app = pyotp.TOTP(secret)
    with pytest.raises(WrongCode):
        staff.confirm_second_factor(me.staff_id, PASSWORD, secret, "000000" if app.at(clock.now()) != "000000" else "1")
    with pytest.raises(WrongCode):
        staff.confirm_second_factor(me.staff_id, PASSWORD, "not base 32!", "123456")
    staff.confirm_second_factor(me.staff_id, PASSWORD, secret, app.at(clock.now()))
    assert staff.log_in("awa", PASSWORD) == Refused(), "no code"
    assert staff.log_in("awa", PASSWORD, app.at(clock.now())) == Refused(), "spent when it was set up"
    clock.advance(seconds=30)
    code = app.at(clock.now())
    assert entered(staff.log_in("awa", PASSWORD, f"{code[:3]} {code[3:]}")).who.second_factor
    assert staff.log_in("awa", PASSWORD, code) == Refused(), "spent at log-in"
    clock.advance(seconds=30)
    entered(staff.log_in("awa", PASSWORD, app.at(clock.now())))


def test_the_second_factor_is_sealed_in_the_database(staff: Staff, db: Database, clock: FixedClock) -> None:
    me = entered(staff.log_in("awa", PASSWORD)).who
    secret = staff.new_second_factor()
    staff.confirm_second_factor(me.staff_id, PASSWORD, secret, pyotp.TOTP(secret).at(clock.now()))
    with db.read() as session:
        kept = session.scalars(select(StaffUserRow.totp_secret)).one()
    assert kept
    assert secret not in kept


def test_the_audit_log_is_a_chain(staff: Staff, db: Database) -> None:
    staff.log_in("awa", PASSWORD)
    staff.note("awa", "export.story", "customer 7", "12 rows")
    report = staff.verify_chain()
    assert report.whole
    assert report.rows == 3
    assert [entry.act for entry in staff.newest_audit()] == ["export.story", "staff.log_in", "staff.created"]


@pytest.mark.parametrize("change", ["alter", "drop"])
def test_a_touched_audit_log_is_found(staff: Staff, db: Database, change: str) -> None:
    for n in range(4):
        staff.note("awa", "export.story", f"customer {n}")
    with db.begin() as session:
        victim = session.scalars(select(AuditRow).where(AuditRow.subject == "customer 1")).one()
        if change == "alter":
            session.execute(update(AuditRow).where(AuditRow.id == victim.id).values(actor="somebody else"))
        else:
            session.delete(victim)
    report = staff.verify_chain()
    assert not report.whole
    assert report.broken_at == (victim.id if change == "alter" else victim.id + 1)


def test_each_role_may_do_all_that_the_one_before_may() -> None:
    ladder = [GRANTED[role] for role in Role]
    assert all(lower < higher for lower, higher in pairwise(ladder))
    assert GRANTED[Role.ADMIN] == frozenset(Permission)


def test_staff_on_both_databases(any_db: Database, clock: FixedClock) -> None:
    """The same on PostgreSQL: hashes survive the round trip of times, the chain holds."""
    service = Staff(any_db, clock, "a secret of the tests", hasher=FAST)
    service.create_user("awa", PASSWORD, name="Awa", role="admin")
    opened = entered(service.log_in("awa", PASSWORD))
    clock.advance(minutes=2)
    assert service.who(opened.token)
    service.log_out(opened.token)
    assert service.who(opened.token) is None
    assert service.verify_chain().whole
