"""Staff in the console: letting in, roles, one-time passwords, lost phones, shutting out; and who is never shut out."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from io import StringIO
from threading import Barrier, Thread

import pyotp
import pytest
from argon2 import PasswordHasher
from flask.testing import FlaskClient

from core.db import Database
from core.kernel.clock import FixedClock
from core.services.staff import LoggedIn, Refused, Staff
from core.services.staff_office import PAGE, StaffOffice
from core.staff.errors import LastAdministrator, OwnAccount
from tests.admin.conftest import log_in, post
from tests.admin.console_town import HOSTILE, PASSWORD, Console
from tests.core.statements import statements_of

HERE = "/admin/settings/staff"
FAST = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
AsRole = Callable[[str], FlaskClient]
# As the town makes them: viewer, office, finance, admin, finance2.
VIEWER, OFFICE, FINANCE, ADMIN = 1, 2, 3, 4


def english(client: FlaskClient) -> FlaskClient:
    post(client, "/admin/language", language="en")
    return client


def password_in(html: str) -> str:
    found = re.search(r"\b[a-z2-9]{4}(-[a-z2-9]{4}){3}\b", html)
    assert found, "a one-time password is shown"
    return found.group()


def acts(console: Console) -> list[tuple[str, str, str]]:
    entries = [e for e in reversed(console.staff.newest_audit(limit=200)) if e.act.startswith("staff.")]
    return [(e.actor, e.act, e.subject) for e in entries if e.actor == "admin" and "log_" not in e.act]


def test_a_new_member_chooses_a_password_before_anything_else(console: Console, as_role: AsRole) -> None:
    admin = english(as_role("admin"))
    status, shown = post(admin, f"{HERE}/new", login="Awa", name="Awa Ilunga", role="office")
    assert status == 200
    password = password_in(shown)
    assert password not in admin.get(f"{HERE}/6").text
    awa = console.app.test_client()
    assert log_in(awa, "awa", password) == 303
    for address in ("/admin/", "/admin/cases", "/admin/search?q=x", "/admin/settings/"):
        answer = awa.get(address)
        assert (answer.status_code, answer.location) == (303, "/admin/account"), address
    assert post(awa, "/admin/account/second-factor", secret=pyotp.random_base32(), code="1")[1] == "/admin/account"
    assert post(awa, "/admin/account/password", old=password, new=password, again=password)[0] == 400
    assert post(awa, "/admin/account/password", old=password, new=PASSWORD, again=PASSWORD)[0] == 303
    assert log_in(awa, "awa", PASSWORD) == 303
    assert awa.get("/admin/").status_code == 200
    assert log_in(console.app.test_client(), "awa", password) == 403


def test_a_one_time_password_ends_by_itself(console: Console, as_role: AsRole, clock: FixedClock) -> None:
    password = password_in(post(as_role("admin"), f"{HERE}/new", login="awa", name="Awa", role="viewer")[1])
    clock.advance(hours=71)
    assert isinstance(console.staff.log_in("awa", password), LoggedIn)
    clock.advance(hours=2)
    assert isinstance(console.staff.log_in("awa", password), Refused)
    assert "expired, make another" in english(as_role("admin")).get(f"{HERE}/6").text


def test_each_act_ends_their_sessions_and_is_written_down(console: Console, as_role: AsRole) -> None:
    admin = as_role("admin")
    secret = pyotp.random_base32()
    for path, data, leads in (
        ("role", {"role": "viewer"}, 303),
        ("off", {}, 303),
        ("on", {}, 303),
        ("password", {}, 200),
        ("second-factor", {}, 303),
    ):
        if path == "off":
            # Switched on again before the next one logs in.
            console.staff.set_role("office", "office", actor="system")
        office = console.app.test_client()
        if path == "on":
            assert log_in(office, "office") == 403
        else:
            assert log_in(office, "office") == 303
            assert office.get("/admin/account").status_code == 200
        status, shown = post(admin, f"{HERE}/{OFFICE}/{path}", **data)
        assert status == leads, path
        assert office.get("/admin/account").status_code == 303, path
        if path == "password":
            console.staff.log_in("office", password_in(shown))
            console.staff.change_password(OFFICE, password_in(shown), PASSWORD)
            totp = pyotp.TOTP(secret)
            console.staff.confirm_second_factor(OFFICE, PASSWORD, secret, totp.at(_now(console)))
            console.staff.reset_password("office", PASSWORD, actor="system", drop_second_factor=True)
    assert acts(console) == [
        ("admin", "staff.role", "office"),
        ("admin", "staff.disabled", "office"),
        ("admin", "staff.enabled", "office"),
        ("admin", "staff.password_reset", "office"),
        ("admin", "staff.second_factor_dropped", "office"),
    ]


def _now(console: Console) -> float:
    return console.staff._clock.real_now().timestamp()


def test_a_lost_phone_is_taken_off(console: Console, as_role: AsRole) -> None:
    secret = pyotp.random_base32()
    console.staff.confirm_second_factor(OFFICE, PASSWORD, secret, pyotp.TOTP(secret).at(_now(console)))
    assert isinstance(console.staff.log_in("office", PASSWORD), Refused)
    assert post(as_role("admin"), f"{HERE}/{OFFICE}/second-factor")[0] == 303
    assert isinstance(console.staff.log_in("office", PASSWORD), LoggedIn)


@pytest.mark.parametrize(("path", "data"), [("role", {"role": "viewer"}), ("off", {}), ("password", {}),
                                            ("second-factor", {})])  # fmt: skip
def test_nobody_changes_their_own_account(console: Console, as_role: AsRole, path: str, data: dict[str, str]) -> None:
    console.staff.create_user("chief", PASSWORD, name="Chief", role="admin")
    admin = english(as_role("admin"))
    status, shown = post(admin, f"{HERE}/{ADMIN}/{path}", **data)
    assert status == 409
    assert "Nobody does this to their own account." in shown
    assert admin.get(f"{HERE}/{ADMIN}").status_code == 200
    assert acts(console)[-1][1].endswith(".refused")


def test_the_last_administrator_stays(console: Console) -> None:
    staff = console.staff
    with pytest.raises(LastAdministrator):
        staff.set_role("admin", "finance", actor="system")
    with pytest.raises(LastAdministrator):
        staff.set_active("admin", False, actor="system")
    staff.set_role("admin", "admin", actor="system")
    staff.create_user("chief", PASSWORD, name="Chief", role="admin")
    staff.set_active("chief", False, actor="admin")
    # One who is switched off lets nobody in.
    with pytest.raises(LastAdministrator):
        staff.set_role("admin", "viewer", actor="system")
    staff.set_active("chief", True, actor="admin")
    staff.set_role("admin", "viewer", actor="chief")
    with pytest.raises(OwnAccount):
        staff.set_role("chief", "viewer", actor="chief")


def test_two_administrators_who_lower_each_other_leave_one(any_db: Database, clock: FixedClock) -> None:
    staff = Staff(any_db, clock, "a secret of the tests, long enough", hasher=FAST)
    for login in ("one", "two"):
        staff.create_user(login, PASSWORD, name=login, role="admin")
    ready, refused = Barrier(2), []

    def lower(login: str, by: str) -> None:
        ready.wait()
        try:
            staff.set_role(login, "viewer", actor=by)
        except LastAdministrator:
            refused.append(login)

    both = [Thread(target=lower, args=pair) for pair in (("one", "two"), ("two", "one"))]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(refused) == 1
    people, _ = StaffOffice(any_db, clock, staff).page()
    assert sorted(person.role.value for person in people) == ["admin", "viewer"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"login": "office", "name": "x", "role": "viewer"}, "The login office is taken."),
        ({"login": "x", "name": "x", "role": "viewer"}, "A login has 2 to 60 characters."),
        ({"login": "awa", "name": "x", "role": "god"}, "Choose a role."),
    ],
)
def test_an_account_that_cannot_be(as_role: AsRole, data: dict[str, str], said: str) -> None:
    status, shown = post(english(as_role("admin")), f"{HERE}/new", **data)
    assert status == 409
    assert said in shown


def test_only_administrators_see_any_of_it(as_role: AsRole) -> None:
    for role in ("viewer", "office", "finance"):
        client = as_role(role)
        for address in (HERE, f"{HERE}.csv", f"{HERE}/new", f"{HERE}/{VIEWER}"):
            assert client.get(address).status_code == 403, address
        assert post(client, f"{HERE}/{FINANCE}/role", role="admin")[0] == 403


def test_the_list_is_a_fixed_number_of_statements_and_a_file(console: Console, as_role: AsRole, db: Database) -> None:
    admin = english(as_role("admin"))
    with statements_of(db) as few:
        admin.get(HERE)
    for number in range(PAGE):
        console.staff.create_user(f"p{number:02d}", PASSWORD, name=HOSTILE, role="viewer")
    with statements_of(db) as many:
        shown = admin.get(HERE).text
    assert len(few) == len(many)
    assert "<script>alert" not in shown
    assert f"{HERE}?page=1" in shown
    assert "viewer" in admin.get(f"{HERE}?page=1").text
    rows = list(csv.reader(StringIO(admin.get(f"{HERE}.csv").text.lstrip("\ufeff"))))
    assert len(rows) == 1 + 5 + PAGE
    assert rows[1][:4] == ["admin", "Agent admin", "Administrator", "active"]
    assert admin.get(f"{HERE}/999").status_code == 404
