"""The page of journeys and the picture of the menu are those that the menu itself makes."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from channels.ussd.menu.engine import Menu
from channels.ussd.menu.journeys import ALL_STATES, menu
from channels.ussd.menu.picture import picture
from core.i18n import LANGUAGES, OWN_NAMES, PROOFREAD
from mwolo.cli import main
from mwolo.menu_journeys import DOOR, journeys

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_of_journeys_is_up_to_date() -> None:
    assert (DOCS / "journeys.md").read_text("utf-8") == journeys(menu()), "mwolo menu journeys -o docs/journeys.md"


def test_the_picture_is_up_to_date() -> None:
    assert (DOCS / "pictures" / "menu.svg").read_text("utf-8") == picture(menu()), (
        "mwolo menu map -o docs/pictures/menu.svg"
    )


def test_the_page_marks_drafts_and_says_what_the_door_says() -> None:
    page = journeys(menu())
    for code in LANGUAGES:
        assert (f"[{OWN_NAMES[code]} (draft) " in page) == (code not in PROOFREAD)
    assert page.count("\n#### Screen ") >= len(set(re.findall(r"→ \*\*([0-9]+)\*\*", page))) + len(DOOR)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_state_stands_on_the_picture(language: str) -> None:
    drawn = ElementTree.fromstring(picture(menu(), language))
    ids = {node.get("id") for node in drawn.iter("{http://www.w3.org/2000/svg}g")}
    assert {state.key for state in ALL_STATES} <= ids
    assert "pay.begun" in ids


def test_a_screen_nobody_leads_to_is_drawn_apart() -> None:
    lonely = type("Lonely", (type(menu().state("help")),), {"key": "lonely"})()
    states = {state.key: state for state in (*ALL_STATES, lonely)}
    assert 'class="lost"' in picture(Menu(states))
    assert 'class="lost"' not in picture(menu())


def test_the_commands_write_what_stands_in_the_docs(tmp_path: Path) -> None:
    for command, page in (("map", DOCS / "pictures" / "menu.svg"), ("journeys", DOCS / "journeys.md")):
        assert CliRunner().invoke(main, ["menu", command, "-o", str(tmp_path / command)]).exit_code == 0
        assert (tmp_path / command).read_bytes() == page.read_bytes()
    drawn = CliRunner().invoke(main, ["menu", "map", "--language", "en"])
    assert "Pay with which" in drawn.output
