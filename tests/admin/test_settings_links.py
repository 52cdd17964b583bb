"""The page of links to what is set up: everybody sees the links their role may follow, and each leads somewhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from admin.views.settings import LINKS
from core.staff.rules import Role, may


@pytest.mark.parametrize("role", list(Role))
def test_each_role_sees_the_links_it_may_follow(role: Role, as_role: Callable[[str], FlaskClient]) -> None:
    client = as_role(role.value)
    shown = client.get("/admin/settings/")
    assert shown.status_code == 200
    links = shown.text.partition("<main")[2]
    for link in LINKS:
        assert (f'href="{link.path}"' in links) is may(role, link.permission), link.path
        if may(role, link.permission):
            assert client.get(link.path).status_code == 200, link.path


def test_the_audit_log_is_a_file_too(as_role: Callable[[str], FlaskClient]) -> None:
    admin = as_role("admin")
    lines = admin.get("/admin/audit.csv").text.splitlines()
    assert "staff.created" in lines[-1]
    assert "export.audit" in admin.get("/admin/audit.csv?before=999999").text.splitlines()[1]
    assert len(admin.get("/admin/audit.csv?before=3").text.splitlines()) == 3
    assert admin.get("/admin/audit?before=99999999999999999999999").status_code == 404
    assert as_role("finance").get("/admin/audit.csv").status_code == 403


def test_the_bar_leads_there(as_role: Callable[[str], FlaskClient]) -> None:
    assert 'href="/admin/settings/"' in as_role("viewer").get("/admin/").text
