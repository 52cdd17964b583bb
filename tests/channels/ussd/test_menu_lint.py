"""The menu looked at as a whole: what `mwolo menu lint` finds in a broken one, and that ours has nothing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from click.testing import CliRunner

from channels.ussd.menu.engine import WRONG_CHOICE, Act, Again, Context, Go, Menu, Pay, Plain, Said, State, Step
from channels.ussd.menu.examples import PHONE, contexts
from channels.ussd.menu.journeys import ALL_STATES, menu
from channels.ussd.menu.lint import NETWORKS, Finding, Report, lint
from channels.ussd.menu.screen import Choice, Screen, line, plain
from core.i18n import LANGUAGES
from core.kernel.money import Money
from mwolo.cli import main


def test_every_screen_in_every_language_on_every_network(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing that matters is cut, no way is lost: the whole menu with the longest data there is."""
    assert {(n.budget, n.ascii_only) for n in NETWORKS} == {(160, False), (160, True), (182, False), (182, True)}
    report = lint(menu())
    with capsys.disabled():
        print(
            f"\n{len(ALL_STATES)} states, {report.screens} screens x {len(LANGUAGES)} languages x {len(NETWORKS)} "
            f"networks = {report.screens * len(LANGUAGES) * len(NETWORKS)} drawings, {report.pages} pages"
        )
    assert not report.findings, "\n".join(map(str, report.findings))
    assert report.screens > 10 * len(ALL_STATES)


@pytest.mark.parametrize(("findings", "code"), [((), 0), ((Finding("home", "dead end"),), 1)])
def test_the_command_leaves_1_when_something_is_wrong(
    findings: tuple[Finding, ...], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.ussd.menu.lint.lint", lambda _menu: Report(findings, 3, 72))
    told = CliRunner().invoke(main, ["menu", "lint"])
    assert told.exit_code == code
    assert ("home: dead end\n1 wrong." if code else "Nothing wrong.") in told.output
    assert "3 screens in 6 languages for 4 networks, 72 pages" in told.output


class Sound(Plain):
    """A screen with nothing wrong: 1 leads on."""

    key = "home"
    to = "home.next"
    choices: tuple[Choice, ...] = (Choice("on", line("Pay"), "1"),)
    back = True
    text = "Pay"

    def show(self, ctx: Context) -> Screen:
        return Screen((line(self.text),), self.choices, back=self.back)

    def answer(self, ctx: Context, said: Said) -> Step:
        return Go(self.to, {}) if said.choice is not None else Again(line(WRONG_CHOICE))


class Next(Sound):
    key = "home.next"
    to = "home"


def found(*states: State) -> str:
    def few(_key: str) -> Iterator[Context]:
        yield replace(next(iter(contexts("home"))), params={"c": 1})

    report = lint(Menu({state.key: state for state in states}), few, ("fr", "en"))
    return "\n".join(map(str, report.findings))


def broken(**changes: object) -> State:
    return type("Broken", (Sound,), changes)()  # type: ignore[no-any-return]


def test_a_sound_menu_has_no_findings() -> None:
    assert found(Sound(), Next()) == ""


def keyed(*keys: str | None) -> tuple[Choice, ...]:
    return tuple(Choice(f"v{n}", line("Pay"), key) for n, key in enumerate(keys))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"choices": keyed("1", "1")}, "key 1 stands for two choices"),
        ({"choices": keyed("2", None)}, "key 2 stands for two choices"),
        ({"choices": keyed("98")}, "offers 98"),
        ({"choices": keyed("00")}, "offers 00"),
        ({"choices": keyed("0")}, "gives 0 another meaning"),
        ({"choices": keyed("9")}, "gives 9 another meaning"),
        ({"choices": keyed("7")}, "shortcuts"),
        ({"choices": (), "back": False}, "dead end: no way on and no way back"),
        ({"answer": lambda self, ctx, said: Again(line(WRONG_CHOICE))}, "leads no caller anywhere"),
        ({"to": "nowhere"}, "leads to nowhere, which does not exist"),
        ({"text": "Said in no catalogue."}, "no translation into fr: 'Said in no catalogue.'"),
        ({"show": lambda self, ctx: Screen((plain("x" * 200),), self.choices, whole=True)}, "too long in fr, 160"),
        (
            {"show": lambda self, ctx: Screen((plain("x" * 165),), self.choices, whole=True, back=False)},
            "too long in en, 160 septets, ASCII only",
        ),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, object], said: str) -> None:
    assert said in found(broken(**changes), Next())


def test_what_fits_one_network_is_not_reported_for_it() -> None:
    wide = broken(show=lambda self, ctx: Screen((plain("x" * 165),), self.choices, whole=True, back=False))
    assert "182" not in found(wide, Next())


def test_a_screen_nobody_leads_to() -> None:
    lonely = type("Lonely", (Sound,), {"key": "lonely"})()
    assert found(Sound(), Next(), lonely) == "lonely: unreachable: no key on any screen leads here"


def test_a_screen_no_example_shows() -> None:
    gone = broken(show=lambda self, ctx: replace(ctx, params={}).contract)
    assert "no example caller sees this screen" in found(gone, Next())


def test_a_state_that_pays_must_be_guarded() -> None:
    def pays(self: Sound, ctx: Context, said: Said) -> Step:
        if said.choice is None:
            return Again(line(WRONG_CHOICE))
        return Pay(1, Money(100, "CDF"), "mpesa", PHONE, (), Screen((line("Pay"),), ended=True))

    def acts(self: Sound, ctx: Context, said: Said) -> Step:
        return Again(line(WRONG_CHOICE)) if said.choice is None else Act("a.deed", "home.next")

    for does in (pays, acts):
        assert "without being guarded" in found(broken(answer=does), Next())
        assert "without being guarded" not in found(broken(answer=does, guarded=True), Next())


def test_a_pin_is_neither_kept_nor_shown_nor_asked_beside_choices() -> None:
    def keeps(self: Sound, ctx: Context, said: Said) -> Step:
        return Go("home.next", {"pin": said.text})

    def shows(self: Sound, ctx: Context, said: Said) -> Step:
        return Again(plain(said.text))

    assert "keeps or shows the PIN" in found(broken(answer=keeps, secret=True, choices=()), Next())
    assert "keeps or shows the PIN" in found(broken(answer=shows, secret=True, choices=()), Next())
    assert "offers choices where a PIN" in found(broken(secret=True), Next())
