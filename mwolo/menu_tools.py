"""`mwolo menu …`: the short code's menu as a whole. Imports are late, so that --help is quick."""

from __future__ import annotations

import sys
from pathlib import Path

import click

EXIT_WRONG, EXIT_BAD_FILE = 1, 2
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


def _put(text: str, output: Path | None) -> None:
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, "utf-8")
