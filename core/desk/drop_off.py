"""Where people leave the menu: how often each screen was shown, answered and left, from our own journal of turns.

Counted by the day on which a session began. Each answer is one pass over the days asked for, by their index; the
network's news of ended sessions refines it where it came. Session first; no commit.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, select
from sqlalchemy.orm import Session

from core.turns.rules import FAILED, HUNG_UP, LEFT, TIMED_OUT
from core.turns.tables import SessionEndRow, TurnRow

# Answers are counted by the second: exact enough for a median, and the same statement on both databases.
SECONDS_MAX = 600


@dataclass(frozen=True, slots=True)
class Where:
    """Which sessions count. `first`, `last`: days, both included. Empty `network`, `language`: all."""

    first: date
    last: date
    network: str = ""
    language: str = ""


@dataclass(slots=True)
class Passage:
    """What became of one screen. `seconds`: answered after so many whole seconds → how often."""

    state: str
    network: str
    language: str
    shown: int = 0
    ended: int = 0
    seconds: Counter[int] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)

    @property
    def answered(self) -> int:
        return self.seconds.total()

    @property
    def left(self) -> int:
        """Nobody answered, and it was not our END. Sessions that are open right now are among them."""
        return max(0, self.shown - self.ended - self.answered)

    @property
    def asked(self) -> int:
        """How often it waited for an answer."""
        return self.shown - self.ended

    @property
    def left_share(self) -> float:
        return self.left / self.asked if self.asked else 0.0

    @property
    def hung_up(self) -> int:
        return self.ends[HUNG_UP]

    @property
    def timed_out(self) -> int:
        return self.ends[TIMED_OUT]

    @property
    def failed(self) -> int:
        return self.ends[FAILED]

    @property
    def untold(self) -> int:
        """Left, and the network did not say how."""
        return max(0, self.left - self.hung_up - self.timed_out - self.failed)

    @property
    def median_s(self) -> int | None:
        """Half of the answers came within so many seconds; None where nobody answered."""
        half = (self.answered + 1) // 2
        for second in sorted(self.seconds):
            half -= self.seconds[second]
            if half <= 0:
                return second
        return None

    def add(self, other: Passage) -> None:
        self.shown += other.shown
        self.ended += other.ended
        self.seconds += other.seconds
        self.ends += other.ends


def passages(session: Session, where: Where) -> list[Passage]:
    """One per state, network and language, the most shown first."""
    found: dict[tuple[str, str, str], Passage] = {}

    def at(state: str, network: str, language: str) -> Passage:
        return found.setdefault((state, network, language), Passage(state, network, language))

    for state, network, language, ended, second, count in session.execute(_shown(where)):
        passage = at(state, network, language)
        passage.shown += count
        if ended:
            passage.ended += count
        elif second is not None:
            passage.seconds[second] += count
    for state, network, language, how, count in session.execute(_ends(where)):
        # An end of a session whose turns were lost is about no screen.
        if state:
            at(state, network, language).ends[how] += count
    return sorted(found.values(), key=lambda passage: (-passage.shown, passage.state))


def folded(found: Iterable[Passage], key: Callable[[Passage], str]) -> list[tuple[str, Passage]]:
    """Added up by `key` (state, network or language), the most shown first."""
    sums: dict[str, Passage] = defaultdict(lambda: Passage("", "", ""))
    for passage in found:
        sums[key(passage)].add(passage)
    return sorted(sums.items(), key=lambda item: (-item[1].shown, item[0]))


def choices(session: Session, where: Where) -> tuple[Sequence[str], Sequence[str]]:
    """The networks and the languages that occur on these days."""
    days = TurnRow.day.between(where.first, where.last)
    rows = session.execute(select(TurnRow.network, TurnRow.language).where(days).distinct()).all()
    return sorted({row[0] for row in rows if row[0]}), sorted({row[1] for row in rows if row[1]})


def _shown(where: Where) -> Select[*tuple[Any, ...]]:
    second: ColumnElement[int | None] = case(
        (TurnRow.answer_ms > SECONDS_MAX * 1000, SECONDS_MAX), else_=TurnRow.answer_ms // 1000
    )
    columns = (TurnRow.state, TurnRow.network, TurnRow.language, TurnRow.ended, second)
    return select(*columns, func.count()).where(*_of(TurnRow, where)).group_by(*columns)


def _ends(where: Where) -> Select[*tuple[Any, ...]]:
    columns = (SessionEndRow.state, SessionEndRow.network, SessionEndRow.language, SessionEndRow.how)
    told = SessionEndRow.how.in_((HUNG_UP, TIMED_OUT, FAILED, LEFT))
    return select(*columns, func.count()).where(told, *_of(SessionEndRow, where)).group_by(*columns)


def _of(row: type[TurnRow] | type[SessionEndRow], where: Where) -> list[ColumnElement[bool]]:
    asked: list[ColumnElement[bool]] = [row.day.between(where.first, where.last)]
    if where.network:
        asked.append(row.network == where.network)
    if where.language:
        asked.append(row.language == where.language)
    return asked
