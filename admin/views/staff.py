"""Staff: who may come in and do what; letting somebody in, changing a role, shutting somebody out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint, Response, g, make_response, redirect, request
from werkzeug.exceptions import NotFound

from admin.csv_export import as_csv
from admin.money import Refusal
from admin.parts import Parts, day_time, page, say
from admin.setup import SetupParts, tried
from core.i18n import N_
from core.services.staff_office import StaffView
from core.staff.rules import ONE_TIME, ROLE_NAMES, Role

STATES = {
    "active": (N_("active"), "good"),
    "one_time": (N_("first log-in to come"), "wait"),
    "resting": (N_("rests after wrong tries"), "bad"),
    "off": (N_("switched off"), "quiet"),
}
DONE = {
    "role": N_("Changed. They are logged out and have the new role from the next log-in on."),
    "off": N_("Switched off. They are logged out everywhere."),
    "on": N_("Switched on again."),
    "factor": N_("Taken off. They are logged out, and log in with the password alone until they set up another."),
}
_HEAD = [
    N_("Login"), N_("Name"), N_("Role"), N_("State"), N_("Second factor"), N_("Last log-in"), N_("Since"),
]  # fmt: skip
_LAST_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a form left behind: a refusal, or a password that is shown in this answer and nowhere else."""

    refusal: Refusal | None = None
    password: str = ""
    created: bool = False


def add_pages(admin: Blueprint, parts: Parts, setup: SetupParts) -> None:
    _add_list(admin, parts, setup)
    _add_making(admin, parts, setup)
    _add_changes(admin, parts, setup)


def _add_list(admin: Blueprint, parts: Parts, setup: SetupParts) -> None:
    @admin.get("/settings/staff")
    def staff_list() -> Response:
        number = min(max(0, request.args.get("page", 0, type=int)), _LAST_PAGE)
        people, more = setup.staff.page(number)
        body = page(
            "staff.html", parts, people=people, more=more, number=number, states=STATES, role_names=ROLE_NAMES,
            now=parts.clock.real_now(), zone=parts.zone,
        )  # fmt: skip
        return make_response(body)

    @admin.get("/settings/staff.csv")
    def export_staff() -> Response:
        people = setup.staff.all()
        parts.staff.note(g.who.login, "export.staff", "all", f"{len(people)} rows")
        return as_csv("staff.csv", _HEAD, [_row(person, parts.zone) for person in people])

    @admin.get("/settings/staff/<int:staff_id>")
    def staff_user(staff_id: int) -> Response:
        return _show(parts, setup, staff_id)


def _add_making(admin: Blueprint, parts: Parts, setup: SetupParts) -> None:
    def form(refusal: Refusal | None = None, typed: dict[str, str] | None = None) -> Response:
        body = page("staff_new.html", parts, refusal=refusal, typed=typed or {}, role_names=ROLE_NAMES)
        return make_response(body, refusal.status if refusal else 200)

    @admin.get("/settings/staff/new")
    def new_staff() -> Response:
        return form()

    @admin.post("/settings/staff/new")
    def create_staff() -> Response:
        typed = {name: request.form.get(name, "").strip()[:120] for name in ("login", "name", "role")}
        made = tried(
            parts, "staff.created", typed["login"],
            lambda: setup.staff.create(typed["login"], name=typed["name"], role=typed["role"], by=g.who.login),
        )  # fmt: skip
        if isinstance(made, Refusal):
            return form(made, typed)
        staff_id, password = made
        return _show(parts, setup, staff_id, _Shown(password=password, created=True))


def _add_changes(admin: Blueprint, parts: Parts, setup: SetupParts) -> None:
    def changed(staff_id: int, what: str, key: str, do: Callable[[str], None]) -> Response:
        login = _one(setup, staff_id).login
        refusal = tried(parts, what, login, lambda: do(login))
        if refusal:
            return _show(parts, setup, staff_id, _Shown(refusal))
        return make_response(redirect(f"/admin/settings/staff/{staff_id}?done={key}", 303))

    @admin.post("/settings/staff/<int:staff_id>/role")
    def set_staff_role(staff_id: int) -> Response:
        role = request.form.get("role", "")
        if role not in {one.value for one in Role}:
            return _show(parts, setup, staff_id, _Shown(Refusal(say(N_("Choose a role.")), 400)))
        return changed(
            staff_id, "staff.role", "role", lambda login: parts.staff.set_role(login, role, actor=g.who.login)
        )

    @admin.post("/settings/staff/<int:staff_id>/off")
    def stop_staff(staff_id: int) -> Response:
        return changed(
            staff_id, "staff.disabled", "off", lambda login: parts.staff.set_active(login, False, actor=g.who.login)
        )

    @admin.post("/settings/staff/<int:staff_id>/on")
    def start_staff(staff_id: int) -> Response:
        return changed(
            staff_id, "staff.enabled", "on", lambda login: parts.staff.set_active(login, True, actor=g.who.login)
        )

    @admin.post("/settings/staff/<int:staff_id>/second-factor")
    def drop_staff_factor(staff_id: int) -> Response:
        return changed(
            staff_id, "staff.second_factor_dropped", "factor",
            lambda login: parts.staff.drop_second_factor(login, actor=g.who.login),
        )  # fmt: skip

    @admin.post("/settings/staff/<int:staff_id>/password")
    def reset_staff_password(staff_id: int) -> Response:
        login = _one(setup, staff_id).login
        made = tried(parts, "staff.password_reset", login, lambda: setup.staff.new_password(login, by=g.who.login))
        # Shown once: in the answer itself, never in an address.
        return _show(
            parts, setup, staff_id, _Shown(refusal=made) if isinstance(made, Refusal) else _Shown(password=made)
        )


def _one(setup: SetupParts, staff_id: int) -> StaffView:
    """Raises NotFound."""
    found = setup.staff.one(staff_id)
    if found is None:
        raise NotFound
    return found


def _show(parts: Parts, setup: SetupParts, staff_id: int, shown: _Shown | None = None) -> Response:
    shown = shown or _Shown()
    person = _one(setup, staff_id)
    body = page(
        "staff_one.html", parts, person=person, shown=shown, entries=setup.staff.entries(person.login), states=STATES,
        role_names=ROLE_NAMES, hours=int(ONE_TIME.total_seconds()) // 3600, now=parts.clock.real_now(),
        zone=parts.zone, done=DONE.get(request.args.get("done", "")),
    )  # fmt: skip
    return make_response(body, shown.refusal.status if shown.refusal else 200)


def _row(person: StaffView, zone: str) -> list[object]:
    return [
        person.login,
        person.name,
        say(ROLE_NAMES[person.role]),
        say(STATES[person.state][0]),
        say(N_("yes") if person.second_factor else N_("no")),
        day_time(person.seen_at, zone),
        day_time(person.created_at, zone),
    ]
