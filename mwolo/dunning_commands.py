"""`mwolo dunning`: the policy as versions. Imports are late, so that --help is quick."""

from __future__ import annotations

import getpass
import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.i18n import N_

if TYPE_CHECKING:
    from core.billing.policy import DunningPolicy
    from core.services.dunning_policies import Version
    from mwolo.wiring import Wiring

_LANGUAGES = click.Choice(["en", "fr"])
_VERSION = N_("Version {n}, since {day}")
_BUILT_IN = N_("Before the first version: built in")
_WAITS = N_("waits for a second person")
_STOPPED = N_("All cuts are stopped.")


@click.group()
def dunning() -> None:
    """Reminders, warnings and cuts: the policy they follow."""


@dunning.group()
def policy() -> None:
    """The policy is data: versions that begin on a day. A second person releases each in the console."""


@policy.command("show")
@click.option("--language", default="en", show_default=True, type=_LANGUAGES)
@click.option("--json", "as_json", is_flag=True, help="As the data of which a new version can be made.")
def policy_show(language: str, as_json: bool) -> None:
    """The version in force today, in sentences, and what stops cuts besides."""
    from core.i18n import day, translate

    policies = _wiring().dunning_policies
    version = policies.in_force()
    if as_json:
        click.echo(json.dumps(version.policy.as_json(), indent=2, default=str))
        return
    click.echo(_named(version, language))
    _sentences(version.policy, language)
    for stop in policies.stops():
        if stop.lifted_at is None:
            what = translate(_STOPPED, language) if stop.on is None else day(stop.on)
            click.echo(f"! {what} {stop.reason} ({stop.by})")


@policy.command("history")
@click.option("--language", default="en", show_default=True, type=_LANGUAGES)
def policy_history(language: str) -> None:
    """Every version, the newest first, with what it changed; drafts that wait for a second person before them."""
    from core.desk.dunning_words import changed
    from core.i18n import day, translate

    policies = _wiring().dunning_policies
    for draft in policies.drafts():
        if draft.state == "waiting":
            waits = translate(_WAITS, language)
            click.echo(f"{draft.id}: {day(draft.valid_from)}, {waits} ({draft.asked_by}: {draft.note})")
            _changes(changed(draft.before, draft.policy), language)
    versions = policies.versions()
    for number, version in enumerate(versions):
        hands = " → ".join(hand for hand in (version.asked_by, version.released_by) if hand)
        about = f" ({hands}: {version.note})" if hands else ""
        click.echo(_named(version, language) + about)
        if number + 1 < len(versions):
            _changes(changed(versions[number + 1].policy, version.policy), language)


@policy.command("new")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--valid-from", required=True, metavar="YYYY-MM-DD", help="Tomorrow at the earliest.")
@click.option("--note", required=True, help="Why; it is kept with the version.")
@click.option("--language", default="en", show_default=True, type=_LANGUAGES)
def policy_new(file: Path, valid_from: str, note: str, language: str) -> None:
    """Ask for the version that a JSON file describes (docs/dunning.md). It begins once a second person released it."""
    from core.desk.dunning_words import changed
    from core.services.dunning_policies import read_policy

    try:
        body: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        first = date.fromisoformat(valid_from)
    except ValueError as error:
        raise click.ClickException(f"{file} or --valid-from cannot be read: {error}") from None
    if not isinstance(body, dict):
        raise click.ClickException(f"{file} is no table of entries.")
    wiring = _wiring()
    before, after = wiring.dunning_policies.in_force().policy, read_policy(body)
    by = getpass.getuser()
    wiring.staff.note(by, "dunning.policy_asked", valid_from, note)
    number = wiring.dunning_policies.ask(body, valid_from=first, note=note, by=by)
    _changes(changed(before, after), language)
    click.echo(f"Draft {number} waits for a second person: /admin/dunning/policy.")


def _named(version: Version, language: str) -> str:
    from core.i18n import day, translate

    if version.valid_from is None:
        return translate(_BUILT_IN, language)
    return translate(_VERSION, language, n=str(version.number), day=day(version.valid_from))


def _sentences(policy: DunningPolicy, language: str) -> None:
    from core.desk.dunning_words import in_sentences
    from mwolo.sweeping import said

    for sentence in in_sentences(policy):
        click.echo(f"- {said(sentence, language)}")


def _changes(changes: list[tuple[str, Any, Any]], language: str) -> None:
    from core.desk.dunning_words import FIELDS, value_sentences
    from core.i18n import translate
    from mwolo.sweeping import said

    for name, before, after in changes:
        texts = ["; ".join(said(one, language) for one in value_sentences(name, value)) for value in (before, after)]
        click.echo(f"    {translate(FIELDS[name], language)}: {texts[0]} → {texts[1]}")


def _wiring() -> Wiring:
    from mwolo.wiring import Wiring

    return Wiring.from_environment()
