"""The page of links to what is set up once and changed seldom. A new page of that kind adds a line to LINKS."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response, make_response

from admin.parts import Parts, page
from core.i18n import N_
from core.staff.rules import Permission


@dataclass(frozen=True, slots=True)
class SettingsLink:
    """`permission`: whoever lacks it does not see the link. `title`, `text`: msgids."""

    path: str
    title: str
    text: str
    permission: Permission


LINKS: tuple[SettingsLink, ...] = (
    SettingsLink(
        "/admin/settings/agencies",
        N_("Agencies"),
        N_("Where customers go: place, phones, opening hours, holidays."),
        Permission.SEE_TODAY,
    ),
    SettingsLink(
        "/admin/settings/tokens",
        N_("API tokens"),
        N_("Which programs may ask for or change what, and until when."),
        Permission.RUN_TOKENS,
    ),
    SettingsLink(
        "/admin/settings/staff",
        N_("Staff"),
        N_("Who may come in, with which role; new passwords, lost phones."),
        Permission.RUN_STAFF,
    ),
    SettingsLink(
        "/admin/imports",
        N_("Import"),
        N_("Customers, contracts, meters and opening balances of another system, from CSV files."),
        Permission.IMPORT_FILES,
    ),
    SettingsLink(
        "/admin/dunning/policy",
        N_("Reminders and cuts"),
        N_("The policy in force, its versions, days without cuts, and the button that stops all cuts."),
        Permission.SEE_TODAY,
    ),
    SettingsLink(
        "/admin/tariffs",
        N_("Tariffs and prepaid prices"),
        N_("What is in force when, what something would cost, and new versions."),
        Permission.SEE_TODAY,
    ),
    SettingsLink(
        "/admin/audit",
        N_("Audit log"),
        N_("Who did what, and whether anybody altered it afterwards."),
        Permission.SEE_AUDIT,
    ),
)


def add_pages(admin: Blueprint, parts: Parts) -> None:
    @admin.get("/settings/")
    def settings() -> Response:
        return make_response(page("settings.html", parts, links=LINKS))
