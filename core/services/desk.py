"""The desk: what the back office looks up. Reads only; every list ends somewhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from core.cases import queries as cases
from core.db import Database
from core.desk import head, search, today
from core.desk import story as stories
from core.desk.model import KINDS, CustomerHead, Hit, Story, Today
from core.desk.story_tokens import without_tokens
from core.kernel.clock import WEST, Clock, local_date

# Every name under which an operator's transaction may be kept; the index begins with it.
WALLETS = ("vodacom", "pawapay", "airtel", "orange", "mpesa_ke")

LIST_LIMIT = 50
SEARCH_LIMIT = 25
STORY_LIMIT = 40
CONTRACTS_LIMIT = 50


class Desk:
    """`zone`: the utility's own; today begins at its midnight. `wallets`: the names payments are kept under."""

    def __init__(self, db: Database, clock: Clock, *, zone: str = WEST, wallets: Sequence[str] = WALLETS) -> None:
        self._db = db
        self._clock = clock
        self._zone = zone
        self._wallets = tuple(wallets)

    def today(self, *, limit: int = LIST_LIMIT) -> Today:
        """The figures since midnight, and what hangs, whenever it began."""
        now = self._clock.now()
        since = datetime.combine(local_date(now, self._zone), time(), ZoneInfo(self._zone)).astimezone(UTC)
        ahead = self._ahead()
        with self._db.read() as session:
            return Today(
                now=now,
                real_now=self._clock.real_now(),
                since=since,
                zone=self._zone,
                money=today.money_in(session, since=since),
                open_attempts=today.open_attempts(session, ahead=ahead, limit=limit),
                open_count=today.open_count(session),
                failures=today.failures(session, since=since - ahead),
                failed_attempts=today.failed_attempts(session, since=since - ahead, ahead=ahead, limit=limit),
                queues=today.queues(session),
                dead=today.dead_rows(session, limit=limit),
                notices=today.notices(session, since=since),
                stray=today.stray_meters(session, limit=limit),
                stray_count=today.stray_count(session),
                cases=cases.counts(session),
            )

    def _ahead(self) -> timedelta:
        """How far business time stands from real time; nothing, outside the sandbox."""
        ahead = self._clock.now() - self._clock.real_now()
        return ahead if abs(ahead) > timedelta(seconds=1) else timedelta(0)

    def search(self, words: str, *, limit: int = SEARCH_LIMIT) -> tuple[Hit, ...]:
        """Customers (and money without one) that `words` may mean: phone in any spelling, account, meter, receipt,
        verification code, operator's transaction, our reference; a name when nothing else fits."""
        with self._db.read() as session:
            return search.search(session, words, wallets=self._wallets, limit=limit)

    def customer(self, customer_id: int) -> CustomerHead | None:
        with self._db.read() as session:
            return head.customer_head(session, customer_id, now=self._clock.now(), limit=CONTRACTS_LIMIT)

    def story(
        self,
        customer_id: int,
        *,
        kinds: Sequence[str] = KINDS,
        before: datetime | None = None,
        limit: int = STORY_LIMIT,
        with_tokens: bool = False,
    ) -> Story:
        """What happened, newest first. Kinds that do not exist are passed over. `with_tokens`: the reader may see the
        digits of keypad tokens; else only the last three of each, wherever they stand."""
        wanted = [kind for kind in KINDS if kind in kinds]
        with self._db.read() as session:
            scope = stories.scope_of(session, customer_id, ahead=self._ahead(), limit=CONTRACTS_LIMIT)
            told = stories.story(session, scope, kinds=wanted, before=before, limit=limit)
        return told if with_tokens else without_tokens(told)
