"""The menu as a graph: from which screen what is typed leads where. Found by trying, never written down twice.

Each state is shown to every example caller; each key on its pages is pressed and each kind of input typed. What a state
does besides leading on (a payment, a language, a deed) leads where `targets` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from channels.ussd.menu.engine import HOME, Act, Again, Context, Go, Gone, Menu, Pay, Said, Speak, Step
from channels.ussd.menu.examples import TYPED, contexts
from channels.ussd.menu.fit import ITEMS_PER_PAGE
from channels.ussd.menu.screen import Screen

# The END of a payment that was begun: no state, for nothing is answered to it.
BEGUN = "pay.begun"

# Between a key and the page it stands on.
ON_PAGE = " on page "

Contexts = Callable[[str], Iterable[Context]]


@dataclass(frozen=True, slots=True, order=True)
class Arrow:
    """`key`: the digit on the screen, or what is typed where no key is offered (a name in `TYPED`)."""

    source: str
    target: str
    key: str
    typed: bool = False


@dataclass(frozen=True, slots=True)
class Try:
    """One answer to one screen and what came of it. `choice`: what the pressed key stands for, None for typed text."""

    state: str
    ctx: Context
    screen: Screen
    key: str
    choice: str | None
    step: Step

    @property
    def leads_on(self) -> bool:
        return not isinstance(self.step, Again)


def shown(menu: Menu, key: str, of: Contexts = contexts) -> Iterator[tuple[Context, Screen]]:
    """Each different screen of a state, with one caller who sees it."""
    seen: set[str] = set()
    state = menu.state(key)
    for ctx in of(key):
        try:
            screen = state.show(ctx)
        except Gone:
            continue
        # A screen holds mappings, which are not hashable; its text form is as good.
        told = f"{screen!r}|{ctx.params!r}|{sorted(ctx.offers)}"
        if told not in seen:
            seen.add(told)
            yield ctx, screen


def tries(menu: Menu, key: str, of: Contexts = contexts) -> Iterator[Try]:
    """Every key and every kind of typed text on every screen of a state that can be answered."""
    state = menu.state(key)
    for ctx, screen in shown(menu, key, of):
        if screen.ended:
            continue
        keys = {} if state.secret else keys_of(screen)
        pressed = [(digit, choice, digit) for digit, choice in keys.items()]
        typed = [(name, None, text) for name, text in TYPED.items() if text not in keys]
        for name, choice, text in (*pressed, *typed):
            try:
                step = state.answer(ctx, Said(choice, text))
            except Gone:
                continue
            yield Try(key, ctx, screen, name, choice, step)


def keys_of(screen: Screen) -> dict[str, str]:
    """Key → value, as numbered where every choice fits on one page or on full ones."""
    keys: dict[str, str] = {}
    for n, choice in enumerate(screen.choices):
        page, place = divmod(n, ITEMS_PER_PAGE)
        number = str(place + 1) if page == 0 else f"{place + 1}{ON_PAGE}{page + 1}"
        keys[choice.key or number] = choice.value
    return keys


def targets(step: Step) -> tuple[str, ...]:
    """Where an answer leads. None: it stays, or ends outside the menu."""
    match step:
        case Go(key):
            return (key,)
        case Act(_, then):
            return (then,)
        case Pay():
            return (BEGUN, step.refused)
        case Speak():
            return (HOME,)
        case Again():
            return ()


def arrows(menu: Menu, of: Contexts = contexts, keys: Iterable[str] | None = None) -> tuple[Arrow, ...]:
    """All of them, or those from some states, sorted. Back, more and staying are not among them: they are the same
    everywhere."""
    found: set[Arrow] = set()
    for key in menu.keys if keys is None else keys:
        for one in tries(menu, key, of):
            digit = one.key.partition(ON_PAGE)[0]
            for target in targets(one.step):
                if target != key:
                    found.add(Arrow(key, target, digit, typed=one.choice is None))
    return tuple(sorted(found))


def reached(found: Iterable[Arrow], start: str) -> frozenset[str]:
    """Every state that some way leads to from `start`."""
    ways: dict[str, set[str]] = {}
    for arrow in found:
        ways.setdefault(arrow.source, set()).add(arrow.target)
    seen, waiting = {start}, [start]
    while waiting:
        for target in ways.get(waiting.pop(), set()) - seen:
            seen.add(target)
            waiting.append(target)
    return frozenset(seen)
