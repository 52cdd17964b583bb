"""What is wrong with a menu, in plain words. Pure: looks at the states through the example callers only.

Every screen is drawn in every language for every network of `NETWORKS`, with and without the lines that may stand above
it; every key on it is pressed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from channels.ussd.menu.engine import HELP_CHOICE, HOME, WRONG_CHOICE, Act, Again, Gone, Menu, Pay, Said, hinted
from channels.ussd.menu.examples import contexts
from channels.ussd.menu.fit import BACK, MORE, PREFIX_SEPTETS, Network, Page, TooLong, cost, fit
from channels.ussd.menu.graph import BEGUN, Arrow, Contexts, Try, arrows, reached, shown, tries
from channels.ussd.menu.screen import BACK_KEY, MORE_KEY, Blank, Line, Screen, line
from core.i18n import LANGUAGES, is_translated

# The smallest that any network is known to show, one that shows whole 182-septet texts, and each without accents.
NETWORKS = tuple(Network(budget, ascii_only) for budget in (160, 182) for ascii_only in (False, True))
# The networks take these for themselves: to go back and to go home.
NETWORK_KEYS = frozenset({"98", "00"})
# `*code*7#` and `*code*8*5000#` outlive every change of menu only where home gives these no other meaning.
SHORTCUT_KEYS = frozenset({"7", "8"})
# May give way where a hint fills the first page: an offer, and it stands on the next dial again.
_MAY_GIVE_WAY = "resume"
# A PIN that no example data has in it.
_MARKED = "739164"
_BLANK = re.compile(r"\{\w*\}")


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that is wrong. `state`: the screen's key; the menu's own where it is about all of it."""

    state: str
    what: str

    def __str__(self) -> str:
        return f"{self.state}: {self.what}"


@dataclass(frozen=True, slots=True)
class Report:
    """`screens`: different ones, with and without a line above. `pages`: how many were drawn of them in all."""

    findings: tuple[Finding, ...]
    screens: int
    pages: int


@dataclass(frozen=True, slots=True)
class Drawing:
    """One screen in one language on one network."""

    pages: tuple[Page, ...]
    wrong: tuple[str, ...]


def lint(menu: Menu, of: Contexts = contexts, languages: Sequence[str] = LANGUAGES) -> Report:
    """Everything that is wrong, each thing once, sorted."""
    found: set[Finding] = set()
    screens = count = 0
    for key in menu.keys:
        tried = list(tries(menu, key, of))
        drawn = list(every_drawing(menu, key, of, languages, tried))
        if not drawn:
            found.add(Finding(key, "no example caller sees this screen: add one to channels/ussd/menu/examples.py"))
        for screen, drawings in drawn:
            screens += 1
            count += sum(len(d.pages) for d in drawings)
            wrong = [*(w for d in drawings for w in d.wrong), *_keys(key, screen), *_untranslated(screen, languages)]
            found.update(Finding(key, what) for what in wrong)
        found.update(
            Finding(key, what) for what in (*_dead_ends(tried), *_guards(menu, tried), *_secrets(menu, key, of))
        )
    found.update(_between(menu, arrows(menu, of)))
    return Report(tuple(sorted(found)), screens, count)


def every_drawing(
    menu: Menu, key: str, of: Contexts, languages: Sequence[str], tried: Sequence[Try]
) -> Iterator[tuple[Screen, list[Drawing]]]:
    """Each different screen of a state, bare and under each line that may stand above it, in every language on every
    network."""
    always = (line(WRONG_CHOICE), Line(getattr(menu.state(key), "help", HELP_CHOICE)))
    above: dict[str, dict[str, Line]] = {}
    for one in tried:
        if isinstance(one.step, Again):
            above.setdefault(repr(one.screen), {})[repr(one.step.hint)] = one.step.hint
    for told, screen in {repr(screen): screen for _ctx, screen in shown(menu, key, of)}.items():
        hints = {repr(hint): hint for hint in always} | above.get(told, {})
        for hint in (None, *hints.values()) if not screen.ended else (None,):
            whole = screen if hint is None else hinted(screen, hint)
            yield (
                whole,
                [draw(whole, code, net, is_hinted=hint is not None) for code in languages for net in NETWORKS],
            )


def draw(screen: Screen, language: str, network: Network, *, is_hinted: bool = False) -> Drawing:
    """All pages of a screen, as a customer would walk through them, and what is wrong with them."""
    where = f"in {language}, {network.budget} septets{', ASCII only' if network.ascii_only else ''}"
    drawn: list[Page] = []
    try:
        while not drawn or MORE in drawn[-1].keys.values():
            drawn.append(fit(screen, language, network=network, page=len(drawn)))
    except TooLong as error:
        return Drawing(tuple(drawn), (f"too long {where}: {error}",))
    wrong = [f"{what} {where}: {page.text!r}" for page in drawn for what in _of_page(page, network)]
    offered = [choice.value for choice in screen.choices]
    got = [value for page in drawn for value in page.keys.values() if value not in (BACK, MORE)]
    if got != offered and not (is_hinted and got == [value for value in offered if value != _MAY_GIVE_WAY]):
        wrong.append(f"a choice is missing, twice, or has another's key {where}: {drawn[0].text!r}")
    if screen.whole and len(drawn) > 1:
        wrong.append(f"a confirmation takes {len(drawn)} pages {where}")
    return Drawing(tuple(drawn), tuple(wrong))


def _of_page(page: Page, network: Network) -> Iterator[str]:
    if cost(page.text) + PREFIX_SEPTETS > network.budget:
        yield "too long"
    if _BLANK.search(page.text):
        yield "a blank is not filled"
    if network.ascii_only and not page.text.isascii():
        yield "not ASCII"
    if NETWORK_KEYS & page.keys.keys():
        yield "offers a key that the networks keep for themselves"


def _keys(state: str, screen: Screen) -> Iterator[str]:
    """Two choices with one key, and keys that have a meaning of their own."""
    keys = [choice.key or str(n) for n, choice in enumerate(screen.choices, start=1)]
    named = [choice.key for choice in screen.choices if choice.key is not None]
    for key in sorted({key for key in named if keys.count(key) > 1}):
        yield f"key {key} stands for two choices"
    for key in sorted(NETWORK_KEYS.intersection(named)):
        yield f"offers {key}, which the networks keep for themselves"
    if MORE_KEY in named or (BACK_KEY in named and screen.back):
        yield f"gives {MORE_KEY if MORE_KEY in named else BACK_KEY} another meaning than everywhere else"
    if state == HOME and SHORTCUT_KEYS.intersection(named):
        yield "offers 7 or 8, which are shortcuts"


def _untranslated(screen: Screen, languages: Sequence[str]) -> Iterator[str]:
    for text in sorted({t for s in (*screen.lines, *(c.label for c in screen.choices)) for t in _sentences(s)}):
        lacking = [code for code in languages if not is_translated(text, code)]
        if lacking:
            yield f"no translation into {', '.join(lacking)}: {text!r}"


def _sentences(sentence: Line) -> Iterator[str]:
    """The msgids that a line is made of; one without a word of its own needs no translation."""
    if any(c.isalpha() for c in _BLANK.sub("", sentence.text)):
        yield sentence.text
    blanks: Mapping[str, Blank] = sentence.blanks
    for blank in blanks.values():
        if isinstance(blank, Line):
            yield from _sentences(blank)


def _dead_ends(tried: Sequence[Try]) -> Iterator[str]:
    """Screens with no way on and no way back, and keys that no caller ever gets anywhere with."""
    ways: dict[int, bool] = {}
    pressed: dict[str, bool] = {}
    example: dict[int, Try] = {}
    for one in tried:
        example.setdefault(id(one.screen), one)
        ways[id(one.screen)] = ways.get(id(one.screen), one.screen.back) or one.leads_on
        if one.choice is not None:
            pressed[one.choice] = pressed.get(one.choice, False) or one.leads_on
    for screen_id, has_way in ways.items():
        if not has_way:
            yield f"dead end: no way on and no way back from {example[screen_id].screen.lines[:1]!r}"
    for choice, leads in pressed.items():
        if not leads:
            yield f"dead end: the choice {choice!r} leads no caller anywhere"


def _guards(menu: Menu, tried: Sequence[Try]) -> Iterator[str]:
    """Digits typed ahead stop before a guarded or secret step: a state that can pay or have something done is one."""
    for one in tried:
        state = menu.state(one.state)
        # No transcript is replayed and no digit typed ahead past the PIN: home may act for an agent who has entered.
        entered = one.state == HOME and one.ctx.agent is not None
        if isinstance(one.step, Pay | Act) and not (state.guarded or state.secret or entered):
            yield "pays or has something done without being guarded: digits typed ahead would do it"
            return


def _secrets(menu: Menu, key: str, of: Contexts) -> Iterator[str]:
    """What is typed at a secret step must reach neither a store nor a screen."""
    state = menu.state(key)
    if not state.secret:
        return
    for ctx, screen in shown(menu, key, of):
        if screen.choices:
            yield "offers choices where a PIN is typed: they would never be looked at"
        try:
            step = state.answer(ctx, Said(None, _MARKED))
        except Gone:
            continue
        # A deed gets the PIN under its own name, which no text form of a step shows.
        if _MARKED in repr(step):
            yield "keeps or shows the PIN that is typed here"


def _between(menu: Menu, found: Sequence[Arrow]) -> Iterator[Finding]:
    """States that nobody gets to, and ways that lead to no state."""
    for key in sorted(set(menu.keys) - reached(found, HOME)):
        yield Finding(key, "unreachable: no key on any screen leads here")
    for arrow in found:
        if arrow.target != BEGUN and not menu.knows(arrow.target):
            yield Finding(arrow.source, f"leads to {arrow.target}, which does not exist")
