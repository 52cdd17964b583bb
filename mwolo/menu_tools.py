"""`mwolo menu …`: the short code's menu as a whole. Imports are late, so that --help is quick."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from core.partner_http import PartnerHttp
    from mwolo.step_files import Story
    from mwolo.step_run import Place

EXIT_WRONG, EXIT_BAD_FILE = 1, 2
# Of a load, so many different things that went wrong are told.
_SHOWN = 5
_LANGUAGES = ("fr", "sw", "ln", "kg", "lua", "en")


@click.group()
def menu() -> None:
    """The menu of the short code: check it, draw it, read it, play it."""


@menu.command()
def lint() -> None:
    """Say in plain words what is wrong with the menu: dead ends, screens nobody leads to, too long, not translated.

    Draws every screen for the longest data in every language, for 160 and 182 septets, with and without accents.
    Exit code 0: nothing; 1: something is wrong.
    """
    from channels.ussd.menu.journeys import menu as ours
    from channels.ussd.menu.lint import NETWORKS
    from channels.ussd.menu.lint import lint as look

    report = look(ours())
    for finding in report.findings:
        click.echo(str(finding))
    looked_at = f"{report.screens} screens in {len(_LANGUAGES)} languages for {len(NETWORKS)} networks"
    click.echo(f"{len(report.findings) or 'Nothing'} wrong. {looked_at}, {report.pages} pages.")
    sys.exit(EXIT_WRONG if report.findings else 0)


@menu.command("map")
@click.option("--language", default="fr", show_default=True, type=click.Choice(_LANGUAGES))
@click.option("-o", "--output", default=None, type=click.Path(path_type=Path, dir_okay=False), help="File to write.")
def draw_map(language: str, output: Path | None) -> None:
    """The whole menu as an SVG: a box for each screen, an arrow for each key."""
    from channels.ussd.menu.journeys import menu as ours
    from channels.ussd.menu.picture import picture

    _put(picture(ours(), language), output)


@menu.command()
@click.option("-o", "--output", default=None, type=click.Path(path_type=Path, dir_okay=False), help="File to write.")
def journeys(output: Path | None) -> None:
    """Every screen as text, in all languages: the page docs/journeys.md."""
    from channels.ussd.menu.journeys import menu as ours
    from mwolo.menu_journeys import journeys as page

    _put(page(ours()), output)


@menu.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--url", default=None, help="Where turns are answered: http://127.0.0.1:8000/ussd/africastalking/<secret>"
)
@click.option("--sandbox", default=None, help="Where PIN prompts and SMS are, for stories that need them.")
@click.option(
    "--ready",
    default=None,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="ready.json of a demo: says both addresses, and its customers play.",
)
@click.option("--language", default="fr", show_default=True, type=click.Choice(_LANGUAGES), help="Of those customers.")
@click.option("--code", default=None, help="The short code there; otherwise as the story dials it.")
@click.option("--repeat", default=1, show_default=True, type=click.IntRange(1, 1_000_000), help="Play each so often.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="So many at a time.")
def run(
    files: tuple[Path, ...],
    url: str | None,
    sandbox: str | None,
    ready: Path | None,
    language: str,
    code: str | None,
    repeat: int,
    workers: int,
) -> None:
    """Play step files as phones would, and say where a screen was not as written. Repeated, also print rates.

    Exit code 0: all as written; 1: something was not; 2: a file cannot be understood.
    """
    from core.partner_http import PartnerHttp
    from mwolo.logs import set_up
    from mwolo.step_files import WrongStepFile, read
    from mwolo.step_run import Place, cast, load

    # One line for every call is of no use here, and would show the secret of the address.
    set_up("critical", "text", ())
    try:
        stories = [read(path) for path in files]
        known = read_ready(ready, language) if ready is not None else Ready()
    except WrongStepFile as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_BAD_FILE)
    address = url or known.url
    if address is None:
        raise click.UsageError("Say where to call: --url or --ready.")
    place, http, wrong = Place(address, sandbox or known.sandbox, code), PartnerHttp("menu"), 0
    for path, story in zip(files, stories, strict=True):
        click.echo(f"{path.name}: {story.name}")
        try:
            people = cast(http, place, story, known.customers, known.agents)
        except WrongStepFile as error:
            click.echo(str(error), err=True)
            sys.exit(EXIT_BAD_FILE)
        if repeat > 1:
            rates = load(http, place, story, people, repeat=repeat, workers=workers)
            click.echo("\n".join([*[*dict.fromkeys(rates.wrong)][:_SHOWN], str(rates)]))
            wrong += len(rates.wrong)
        else:
            wrong += _play(http, place, story, people[0])
    sys.exit(EXIT_WRONG if wrong else 0)


def _play(http: PartnerHttp, place: Place, story: Story, people: Mapping[str, Mapping[str, str]]) -> int:
    from mwolo.step_run import Player

    played = Player(http, place, story, people, say=click.echo).play()
    click.echo(f"WRONG: {played.wrong}\n" if played.wrong else "as written\n")
    return int(played.wrong is not None)


@dataclass(frozen=True, slots=True)
class Ready:
    """What a running demo says of itself, as far as stories need it."""

    url: str | None = None
    sandbox: str | None = None
    customers: tuple[Mapping[str, str], ...] = ()
    agents: tuple[Mapping[str, str], ...] = ()


def read_ready(path: Path, language: str) -> Ready:
    """Addresses, the customers who speak `language`, and the agents. Raises WrongStepFile."""
    from mwolo.step_files import WrongStepFile

    try:
        said = json.loads(path.read_text("utf-8"))
        customers = tuple(_known(row) for row in said["customers"] if row["language"] == language)
        return Ready(said["ussd"], said["sandbox"], customers, tuple(_known(row) for row in said.get("agents", ())))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WrongStepFile(f"{path} is no ready.json: {error!r}") from None


def _known(row: Mapping[str, object]) -> Mapping[str, str]:
    return {name: str(value) for name, value in row.items() if value is not None}


def _put(text: str, output: Path | None) -> None:
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, "utf-8")
