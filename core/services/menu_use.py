"""How the menu of the short code is used: where people answer, and where they leave. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from core.db import Database
from core.desk import drop_off
from core.desk.drop_off import Passage, Where
from core.kernel.clock import Clock

# A week shows the days on which bills are due and those on which they are not.
DAYS = 7
# More would read the whole journal.
DAYS_MAX = 92


@dataclass(frozen=True, slots=True)
class Use:
    """`where`: what was really counted. `networks`, `languages`: what occurs on those days."""

    where: Where
    passages: Sequence[Passage]
    networks: Sequence[str]
    languages: Sequence[str]


class MenuUse:
    """Counts by the (UTC) day on which a session began."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def of(self, first: date | None = None, last: date | None = None, *, network: str = "", language: str = "") -> Use:
        """Between two days, both included; the last week when none is said, at most DAYS_MAX days up to `last`."""
        last = last or self._clock.real_now().date()
        first = first or last - timedelta(days=DAYS - 1)
        if first > last:
            first, last = last, first
        where = Where(max(first, last - timedelta(days=DAYS_MAX - 1)), last, network, language)
        with self._db.read() as session:
            networks, languages = drop_off.choices(session, where)
            return Use(where, drop_off.passages(session, where), networks, languages)
