"""The whole menu as an SVG: a box for each state with the first words of its screen, an arrow for each key.

Laid out as a tree from the home screen: the first walk that comes by a state says where it hangs. Ways that lead to a
state which hangs elsewhere are lines inside the box they start from. Back and more are the same everywhere and not
drawn. The same menu gives the same bytes.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise
from xml.sax.saxutils import escape

from channels.ussd.menu.engine import HOME, Menu
from channels.ussd.menu.examples import contexts
from channels.ussd.menu.fit import Network, TooLong, fit
from channels.ussd.menu.graph import Arrow, arrows, shown
from channels.ussd.menu.walks import CODE, WALKS, Frame, Walk, frames
from core.customers.model import Snapshot
from core.i18n import DEFAULT_LANGUAGE, OWN_NAMES

_WIDTH, _GAP_X, _GAP_Y, _MARGIN, _HEAD = 184, 78, 16, 24, 84
_LETTERS, _LINES, _WAY_LETTERS = 25, 3, 27
_TITLE_H, _KEY_H, _ROW_H, _PAD = 15, 14, 14, 9
# Where an arrow leaves and enters a box: beside its first line, so that the first way runs straight on.
_DOOR_Y = 20
# One pair (fill, edge) for each journey, in their order; then from the first again.
_COLOURS = (
    ("#e3f2fd", "#1565c0"), ("#e8f5e9", "#2e7d32"), ("#fff8e1", "#b27700"), ("#f3e5f5", "#6a1b9a"),
    ("#e0f2f1", "#00695c"), ("#fce4ec", "#ad1457"), ("#f1f8e9", "#558b2f"), ("#ede7f6", "#4527a0"),
)  # fmt: skip
# The home screen has a box for each kind of caller: the same key leads elsewhere.
_HOMES: Mapping[str, Callable[[Snapshot], bool]] = {
    HOME: lambda caller: len(caller.contracts) == 1,
    "home, several accounts": lambda caller: len(caller.contracts) > 1,
    "home, unknown number": lambda caller: not caller.contracts,
}
_STYLE = """
    .bg { fill: #fff } .way { fill: none; stroke: #546e7a; stroke-width: 1.5 } .tip { fill: #546e7a }
    .w { font-weight: bold } .k { font-size: 10px; fill: #607d8b } .j { font-size: 10.5px; fill: #37474f }
    .b { fill: #fff; stroke: #546e7a } .bt { font-size: 11px; font-weight: bold; text-anchor: middle; fill: #263238 }
    .end { fill: #37474f; stroke: #263238 } .end + text, .e { fill: #fff } .ek { font-size: 10px; fill: #b0bec5 }
    .mark { fill: #e65100 } .mt { fill: #fff; font-size: 9.5px; font-weight: bold; text-anchor: middle }
    .lost { stroke: #c62828; stroke-dasharray: 5 3 } text { fill: #212121 }
"""


@dataclass(slots=True)
class _Box:
    """One state on the picture. `words`: the first of its screen. `ways`: lines about states that hang elsewhere."""

    key: str
    words: list[str]
    ends: bool
    mark: str
    ways: list[str] = field(default_factory=list)
    under: list[_Box] = field(default_factory=list)
    keys: str = ""
    x: int = 0
    y: int = 0

    @property
    def height(self) -> int:
        return _PAD * 2 + _TITLE_H * len(self.words) + _KEY_H + _ROW_H * len(self.ways)


def picture(menu: Menu, language: str = DEFAULT_LANGUAGE) -> str:
    """The SVG, with the words of `language`."""
    boxes = _boxes(menu, language)
    found = [arrow for arrow in _arrows(menu) if arrow.target in boxes]
    parents = _parents(menu, found)
    between = {pair: list(some) for pair, some in groupby(found, key=lambda a: (a.source, a.target))}
    for (source, target), some in sorted(between.items()):
        if parents.get(target) != source:
            boxes[source].ways.append(f"{_label(menu, some)} → {target}")
    for target, source in parents.items():
        boxes[target].keys = _label(menu, between[source, target])
        boxes[source].under.append(boxes[target])
    for box in boxes.values():
        box.ways.sort(key=lambda way: (not way[0].isdigit(), way))
        box.ways = [row for way in box.ways for row in textwrap.wrap(way, _WAY_LETTERS, subsequent_indent="    ")]
        box.under.sort(key=lambda b: (not b.keys[0].isdigit(), b.keys, b.key))
    bottom = 0
    for key in dict.fromkeys((*_HOMES, *menu.keys)):
        if key not in parents:
            bottom += _place(boxes[key], 0, _HEAD + bottom)
    return _svg(list(boxes.values()), language, _HEAD + bottom)


def _arrows(menu: Menu) -> tuple[Arrow, ...]:
    """All arrows; those of the home screen start from the home of their kind of caller."""
    found = [arrow for arrow in arrows(menu) if arrow.source != HOME]
    for home, is_kind in _HOMES.items():
        callers = lambda key, is_kind=is_kind: (c for c in contexts(key) if is_kind(c.snapshot))  # noqa: E731
        found.extend(replace(arrow, source=home) for arrow in arrows(menu, callers, (HOME,)))
    return tuple(sorted(found))


def _home_of(walk: Walk) -> str:
    return next(home for home, is_kind in _HOMES.items() if is_kind(walk.caller))


def _states(menu: Menu, walk: Walk, language: str) -> Iterator[tuple[str, Frame]]:
    """The frames of a walk, each with the box it belongs to."""
    for frame in frames(menu, walk, language):
        yield _home_of(walk) if frame.state == HOME else frame.state, frame


def _boxes(menu: Menu, language: str) -> dict[str, _Box]:
    """All states, with the words of the first walk that shows them; else of the first example caller."""
    texts: dict[str, tuple[str, bool]] = {}
    for walk in WALKS:
        for key, frame in _states(menu, walk, language):
            texts.setdefault(key, (frame.text, frame.ended))
    for key in (*_HOMES, *menu.keys):
        if key not in texts:
            texts[key] = _example(menu, HOME if key in _HOMES else key, language)
    order = dict.fromkeys((*_HOMES, *(key for key in menu.keys if key != HOME), *texts))
    return {key: _Box(key, _words(texts[key][0]), texts[key][1], _mark(menu, key)) for key in order}


def _example(menu: Menu, key: str, language: str) -> tuple[str, bool]:
    for _ctx, screen in shown(menu, key):
        try:
            return fit(screen, language, network=Network()).text, screen.ended
        except TooLong:
            continue
    return "?", False


def _words(text: str) -> list[str]:
    """The first words of a screen, without its choices."""
    spoken = [row for row in text.split("\n") if row[1:3] != ". "] or text.split("\n")[:-1]
    return textwrap.wrap(" ".join(spoken), _LETTERS, max_lines=_LINES, placeholder=" …")


def _mark(menu: Menu, key: str) -> str:
    if not menu.knows(key):
        return ""
    state = menu.state(key)
    return "PIN" if state.secret else "asks first" if state.guarded else ""


def _parents(menu: Menu, found: Sequence[Arrow]) -> dict[str, str]:
    """Where each state hangs: after the screen before it on the first walk that comes by, else on the nearest way."""
    ways = {(arrow.source, arrow.target) for arrow in found}
    parents: dict[str, str] = {}
    for walk in WALKS:
        states = [key for key, _frame in _states(menu, walk, DEFAULT_LANGUAGE)]
        for before, after in pairwise(states):
            known = after in _HOMES or after in parents or _above(parents, before, after)
            if (before, after) in ways and not known:
                parents[after] = before
    hung = [*_HOMES, *parents]
    for key in hung:
        for source, target in sorted(ways):
            if source == key and target not in hung and target != HOME:
                parents[target] = source
                hung.append(target)
    return parents


def _above(parents: Mapping[str, str], key: str, wanted: str) -> bool:
    """Whether `wanted` stands above `key` already: a state never hangs under itself."""
    while key in parents:
        key = parents[key]
        if key == wanted:
            return True
    return False


def _label(menu: Menu, some: Iterable[Arrow]) -> str:
    """`1`, `1-6`, `amount`, `*7#`: what is pressed or typed on the ways between two states."""
    listed = list(some)
    pressed = sorted({arrow.key for arrow in listed if not arrow.typed})
    typed = {arrow.key for arrow in listed if arrow.typed}
    words = [_runs(pressed)] if pressed else []
    if typed:
        secret = menu.knows(listed[0].source) and menu.state(listed[0].source).secret
        words.append("PIN" if secret else _kind(typed, pressed))
    return ", ".join(word for word in words if word)


def _kind(typed: set[str], pressed: Sequence[str]) -> str:
    plain = typed - {"7", "8"}
    if len(plain) > 2:
        return "text"
    for name in ("account", "number", "amount", "digits"):
        if name in plain:
            return name
    return ", ".join(f"*{digit}#" for digit in sorted(typed) if digit not in pressed)


def _runs(digits: Sequence[str]) -> str:
    """`1, 2, 3, 5` as `1-3, 5`. 0 is never one of a row."""
    runs: list[list[str]] = []
    for digit in digits:
        if runs and runs[-1][-1] != "0" and digit.isdecimal() and int(digit) == int(runs[-1][-1]) + 1:
            runs[-1].append(digit)
        else:
            runs.append([digit])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(run) for run in runs)


def _place(box: _Box, depth: int, top: int) -> int:
    """Put a box and all under it; returns the height they take."""
    box.x, box.y = _MARGIN + depth * (_WIDTH + _GAP_X), top
    taken = 0
    for child in box.under:
        taken += _place(child, depth + 1, top + taken)
    return max(box.height + _GAP_Y, taken)


def _svg(boxes: Sequence[_Box], language: str, height: int) -> str:
    width = max(box.x for box in boxes) + _WIDTH + _MARGIN
    journeys = list(dict.fromkeys(_journey(box.key) for box in boxes))
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="Verdana, DejaVu Sans, sans-serif" font-size="11.5" role="img" aria-labelledby="t d">',
        f'<title id="t">The whole menu of {CODE}, {OWN_NAMES[language]}</title>',
        '<desc id="d">Every screen as a box with its first words, every way by the key that leads there.</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect class="bg" width="{width}" height="{height}"/>',
        *_legend(language),
    ]
    for box in boxes:
        out.extend(_way(box, child) for child in box.under)
    for box in boxes:
        colours = _COLOURS[journeys.index(_journey(box.key)) % len(_COLOURS)]
        out.extend(_drawn(box, colours, lost=box.x == _MARGIN and box.key not in _HOMES))
    for box in boxes:
        out.extend(_badge(child) for child in box.under)
    return "\n".join([*out, "</svg>", ""])


def _journey(key: str) -> str:
    return key.partition(".")[0] if "." in key and not key.startswith(HOME) else HOME


def _legend(language: str) -> list[str]:
    y = 30
    return [
        f'<text x="{_MARGIN}" y="{y}" font-size="17" class="w">{CODE} · {OWN_NAMES[language]}</text>',
        f'<text x="{_MARGIN}" y="{y + 22}" class="j">A number on an arrow is the key that leads there, a word is '
        "what is typed. Ways to a screen that stands elsewhere are lines in the box. 0 leads back. Dark: the call "
        "ends.</text>",
    ]


def _way(box: _Box, child: _Box) -> str:
    x1, y1 = box.x + _WIDTH, box.y + _DOOR_Y
    x2, y2 = child.x - 7, child.y + _DOOR_Y
    trunk = x1 + 16
    turn = "" if y1 == y2 else f"H{trunk - 6} Q{trunk} {y1} {trunk} {y1 + 6} V{y2 - 6} Q{trunk} {y2} {trunk + 6} {y2} "
    tip = f'<path class="tip" d="M{x2 + 6} {y2} l-8 -4.5 v9z"/>'
    return f'<path class="way" d="M{x1} {y1} {turn}H{x2}"/>{tip}'


def _badge(child: _Box) -> str:
    """The key, on its arrow, before the box it leads to."""
    wide = max(20, 7 * len(child.keys) + 10)
    middle, y = child.x - 14 - wide / 2, child.y + _DOOR_Y
    return (
        f'<rect class="b" x="{middle - wide / 2:g}" y="{y - 9}" width="{wide}" height="18" rx="9"/>'
        f'<text class="bt" x="{middle:g}" y="{y + 4}">{escape(child.keys)}</text>'
    )


def _drawn(box: _Box, colours: tuple[str, str], *, lost: bool) -> list[str]:
    fill, edge = colours
    look = 'class="end"' if box.ends else f'fill="{fill}" stroke="{edge}" stroke-width="1.3"'
    if lost:
        look = f'class="lost" fill="{fill}"'
    name = re.sub("[^a-z._]+", "-", box.key)
    shape = f'x="{box.x}" y="{box.y}" width="{_WIDTH}" height="{box.height}" rx="8"'
    out = [f'<g id="{name}"><rect {look} {shape}/>']
    x, y = box.x + 10, box.y + _PAD + 11
    said, key, way_look = ("e", "ek", "j e") if box.ends else ("s", "k", "j")
    for words in box.words:
        out.append(f'<text x="{x}" y="{y}" class="{said}">{escape(words)}</text>')
        y += _TITLE_H
    out.append(f'<text x="{x}" y="{y}" class="{key}">{box.key}{" ■" if box.ends else ""}</text>')
    for way in box.ways:
        y += _ROW_H
        out.append(f'<text x="{x}" y="{y}" class="{way_look}">{escape(way)}</text>')
    if box.mark:
        wide = 7 * len(box.mark) + 8
        right = box.x + _WIDTH - 8
        out.append(
            f'<rect class="mark" x="{right - wide}" y="{box.y - 7}" width="{wide}" height="14" rx="7"/>'
            f'<text class="mt" x="{right - wide / 2:g}" y="{box.y + 3.5}">{box.mark}</text>'
        )
    out.append("</g>")
    return out
