"""`mwolo sweep --dry-run` and `mwolo dunning policy`: days, languages, tables, and what is refused in a sentence."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from core.billing.policy_tables import PolicyDraftRow
from core.billing.tables import DunningPolicyRow
from core.db import Database
from core.desk.dunning_words import FIELDS, HOLDS, PROTECTED, STEPS, code_words, values, why
from core.kernel.clock import WEST, FixedClock, SystemClock, local_date
from core.kernel.digits import grouped
from core.kernel.money import Money
from core.services.billing import Billing
from core.services.dunning_policies import DunningPolicies
from core.supply.rules import HoldReason, OffPolicy
from mwolo.cli import main
from tests import town

Says = Callable[..., Result]


@pytest.fixture
def says(db: Database, monkeypatch: pytest.MonkeyPatch) -> Says:
    monkeypatch.setenv("MWOLO_DATABASE_URL", db.url.render_as_string())
    monkeypatch.setenv("MWOLO_SECRET_KEY", "k" * 40)
    monkeypatch.setenv("MWOLO_USSD_SECRETS", "s" * 20)
    return lambda *words: CliRunner().invoke(main, list(words), catch_exceptions=False)


@pytest.fixture
def homes(db: Database) -> list[town.Home]:
    """Two bills sent three days ago: one of 28 500 FC, one too small to be cut for."""
    then = FixedClock(SystemClock().now() - timedelta(days=3))
    found = []
    for units in (28_500, 3_000):
        with db.begin() as session:
            home = town.home(session, name=f"Client {units}")
            invoice = town.invoice(session, home.contract, total=Money.units(units, "CDF"))
            town.heard(session, home.meter, at=SystemClock().now())
        Billing(db, then).send_invoice(invoice.id)
        found.append(home)
    return found


def ahead(days: int) -> str:
    return (local_date(SystemClock().now(), WEST) + timedelta(days=days)).isoformat()


def test_a_dry_run_of_a_day_says_who_what_and_why_not(says: Says, homes: list[town.Home]) -> None:
    says("sweep")
    said = says("sweep", "--dry-run", "--at", ahead(4)).output
    first, second = (next(line for line in said.splitlines() if home.customer.name in line) for home in homes)
    assert grouped(homes[0].account_number) in first
    assert "warning, names" in first
    assert "nothing. What is overdue does not come to the smallest debt" in second
    assert "2 contracts with something open" in said
    assert "warned 1" in said
    assert "Supposed: nobody pays" in said


def test_a_dry_run_of_now_needs_no_day(says: Says, homes: list[town.Home]) -> None:
    said = says("sweep", "--dry-run").output
    assert said.count("reminder by SMS") == 2
    assert "Reminded 2" in said


def test_as_a_table_the_summary_stays_out_of_the_file(says: Says, homes: list[town.Home]) -> None:
    result = says("sweep", "--dry-run", "--at", ahead(4), "--csv")
    rows = list(csv.reader(io.StringIO(result.stdout)))
    assert len(rows) == 3
    assert rows[0][0] == "Account"
    assert rows[1][3:5] == ["28500.00", "CDF"]
    assert "2 contracts with something open" in result.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--at", "2026-13-01", "--dry-run"), "is no day"),
        (("--at", "2020-01-01", "--dry-run"), "is over"),
        (("--at", "2020-01-01T09:00:00", "--dry-run"), "needs its zone"),
        (("--at", "2099-01-01", "--dry-run"), "too far away"),
        (("--at", "2099-01-01"), "need --dry-run"),
        (("--csv",), "need --dry-run"),
    ],
)
def test_a_day_that_cannot_be_is_refused_in_a_sentence(says: Says, words: tuple[str, ...], told: str) -> None:
    result = says("sweep", *words)
    assert result.exit_code != 0
    assert told in result.output
    assert "Traceback" not in result.output


def test_without_dry_run_the_sweep_acts(says: Says, homes: list[town.Home]) -> None:
    assert "made 2 steps" in says("sweep").output
    assert "made 0 steps" in says("sweep").output


# The policy.


def test_the_policy_is_shown_in_sentences_and_as_data(says: Says) -> None:
    said = says("dunning", "policy", "show").output
    assert "Before the first version: built in" in said
    assert "14 days after the bill at the earliest" in said
    assert json.loads(says("dunning", "policy", "show", "--json").output)["reminder_after_days"] == 3


def test_a_new_version_is_asked_for_and_waits(db: Database, says: Says, tmp_path: Path) -> None:
    file = tmp_path / "patient.json"
    file.write_text(json.dumps({"announcement_after_days": 28, "off": {"from_hour": 9}}), encoding="utf-8")
    day = ahead(2)
    said = says("dunning", "policy", "new", str(file), "--valid-from", day, "--note", "28 days, says the regulator")
    assert "14 → 28" in said.output
    assert "8 → 9" in said.output
    with db.read() as session:
        draft = session.scalars(select(PolicyDraftRow)).one()
        assert session.scalars(select(DunningPolicyRow)).all() == []
    assert (draft.valid_from, draft.state) == (date.fromisoformat(day), "waiting")
    DunningPolicies(db, SystemClock()).release(draft.id, by="jeanne")
    said = says("dunning", "policy", "history")
    assert "Version 2" in said.output
    assert "jeanne: 28 days, says the regulator" in said.output


@pytest.mark.parametrize(
    ("body", "day", "told"),
    [
        ('{"reminder_days": 3}', 2, "reminder_days"),
        ('{"off": {"until_hour": 3}}', 2, "until_hour"),
        ('{"off": {"brake": true}}', 2, "button of its own"),
        ("{}", 0, "tomorrow at the earliest"),
        ("[1]", 2, "no table of entries"),
        ("{", 2, "cannot be read"),
    ],
)
def test_a_version_that_cannot_be_is_refused(says: Says, tmp_path: Path, body: str, day: int, told: str) -> None:
    file = tmp_path / "policy.json"
    file.write_text(body, encoding="utf-8")
    result = says("dunning", "policy", "new", str(file), "--valid-from", ahead(day), "--note", "because")
    assert result.exit_code != 0
    assert told in result.output


# The words.


def test_every_number_of_a_version_has_a_name() -> None:
    from core.billing.policy import DEFAULT_POLICY

    assert set(values(DEFAULT_POLICY)) == set(FIELDS)


def test_every_reason_has_its_sentence() -> None:
    """Walk the codes that the rules can give: those of the books stand in their page of words, too."""
    import inspect
    import re

    from core.billing import dunning
    from core.supply import rules

    codes = set(re.findall(r'WhyNot\("(\w+)"', inspect.getsource(dunning)))
    codes |= set(re.findall(r'HoldReason\("(\w+)"', inspect.getsource(rules)))
    assert len(codes) > 20
    for code in codes:
        assert code_words(code)[0] != code or code in ("hold", "not_due_yet"), code
    facts: dict[str, str | int | None] = {
        "name": "declared",
        "as": "health",
        "from": 8,
        "until": 14,
        "max": 60,
        "percent": 12,
        "currency": "CDF",
    }
    for code in re.findall(r'HoldReason\("(\w+)"', inspect.getsource(rules)):
        for text, blanks in why(HoldReason(code, {**facts, "report_age_h": 50}), WEST):
            assert text.format(**blanks)
    for kind in OffPolicy().hold_limits:
        assert kind in HOLDS
    assert set(STEPS) == {"sent", "reminder", "warning", "announcement"}
    assert "medical" in PROTECTED
