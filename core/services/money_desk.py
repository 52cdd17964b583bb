"""The money desk: what the money pages of the console look up. Reads only; every list ends somewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from core.db import Database
from core.desk import attempts, placing
from core.desk.money_model import (
    AttemptFilter,
    Attempts,
    AttemptView,
    CallbackView,
    ContractBrief,
    PaymentBrief,
    Place,
    WalletFigures,
)
from core.kernel.clock import Clock

PAGE = 50
_COUNTED_MAX = 1000
_DAY = timedelta(hours=24)


class MoneyDesk:
    """Look-ups over attempts, payments and contracts. What it hands out of callbacks has no secrets in it."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def attempts(self, wanted: AttemptFilter, *, after: Place | None = None, limit: int = PAGE) -> Attempts:
        """Attempts newest first, `limit` of them from `after` on."""
        ahead = self._ahead()
        with self._db.read() as session:
            found = attempts.attempts(session, wanted, after=after, ahead=ahead, limit=limit + 1)
        shown = found[:limit]
        more = len(found) > limit
        older = Place(shown[-1].line.created_at, shown[-1].line.id) if more else None
        return Attempts(shown, older, self._clock.real_now())

    def attention_count(self) -> int:
        """How many attempts need somebody; at most a thousand are counted."""
        with self._db.read() as session:
            return attempts.attention_count(session, limit=_COUNTED_MAX)

    def attempt(self, attempt_id: str, *, whole_numbers: bool) -> AttemptView | None:
        """One attempt with its whole life. `whole_numbers`: telephone numbers in callbacks are not masked."""
        with self._db.read() as session:
            return attempts.attempt(
                session,
                attempt_id,
                ahead=self._ahead(),
                real_now=self._clock.real_now(),
                whole_numbers=whole_numbers,
            )

    def stray_callbacks(
        self, *, whole_numbers: bool, before_id: int | None = None, limit: int = PAGE
    ) -> tuple[CallbackView, ...]:
        """Callbacks that belong to nothing we know, or that nobody can read; newest first."""
        with self._db.read() as session:
            return attempts.stray_callbacks(
                session, before_id=before_id, ahead=self._ahead(), limit=limit, whole_numbers=whole_numbers
            )

    def wallet_figures(self, wallets: Sequence[str]) -> Mapping[str, WalletFigures]:
        """How each wallet fares: what is open, and what became of the last 24 hours."""
        with self._db.read() as session:
            return attempts.wallet_figures(session, wallets, since=self._clock.real_now() - _DAY)

    def contract_by_account(self, account: str) -> ContractBrief | None:
        """`account`: the number as it stands, digits only."""
        with self._db.read() as session:
            return placing.contract_by_account(session, account)

    def contract_by_id(self, contract_id: int) -> ContractBrief | None:
        with self._db.read() as session:
            return placing.contract_by_id(session, contract_id)

    def payment(self, payment_id: str) -> PaymentBrief | None:
        with self._db.read() as session:
            return placing.payment(session, payment_id)

    def _ahead(self) -> timedelta:
        """How far business time stands from real time; nothing, outside the sandbox."""
        ahead = self._clock.now() - self._clock.real_now()
        return ahead if abs(ahead) > timedelta(seconds=1) else timedelta(0)
