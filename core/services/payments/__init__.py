"""Asking wallets for money, finding out what became of it, and booking what arrived.

`Payments` is what channels, workers and the console call. Every step is one short transaction; no wallet is ever called
inside one; each step may be cut off before or after and is picked up by the next.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.db import Database
from core.kernel.clock import Clock
from core.outbox import Outcome
from core.payments.model import BeginRefused, Begun, OpenSessions, PaymentRequest
from core.payments.ports import RawCallback, Wallet
from core.services.payments import begin, callbacks, carry
from core.services.payments.context import Context

__all__ = ["Payments"]


class Payments:
    """One instance per process. `routes`: brand → name of the wallet that collects for it.

    `query_scale` shortens the schedule of questions in tests and the sandbox; 1.0 in production.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        wallets: Mapping[str, Wallet],
        routes: Mapping[str, str],
        open_sessions: OpenSessions,
        *,
        query_scale: float = 1.0,
        push_delay_s: float = 3.0,
        callback_base: str = "",
    ) -> None:
        self._ctx = Context(db, clock, wallets, routes, open_sessions, query_scale, push_delay_s, callback_base)

    def brands(self) -> tuple[str, ...]:
        """The brands a customer can pay with now."""
        return tuple(brand for brand, name in self._ctx.routes.items() if name in self._ctx.wallets)

    def begin(self, request: PaymentRequest) -> Begun | BeginRefused:
        """Commit an attempt and the errand to push it, in one transaction. The same turn key finds the first one."""
        return begin.begin(self._ctx, request)

    def cancel(self, attempt_id: str, by: str) -> bool:
        """Take an attempt back. Only before it left: afterwards the answer is "ignore the request on your phone"."""
        return begin.cancel(self._ctx, attempt_id, by)

    def push(self, attempt_id: str) -> Outcome:
        """Ask the wallet to collect one attempt, once. An unknown outcome is left to `query`."""
        return carry.push(self._ctx, attempt_id)

    def query(self, attempt_id: str, *, by: str = "query") -> Outcome:
        """Ask the wallet what became of an attempt."""
        return carry.query(self._ctx, attempt_id, by=by)

    def stage_due_queries(self, limit: int = 100) -> int:
        """Turn due questions into errands. Called by the dispatcher."""
        return carry.stage_due_queries(self._ctx, limit)

    def rescue_stuck(self, limit: int = 50) -> int:
        """End attempts whose errand died on the way (a bug, a row given up): asked ones are queried, others fail."""
        return carry.rescue_stuck(self._ctx, limit)

    def store(self, wallet: str, raw: RawCallback, source: str) -> None:
        """Keep a callback as it came, and the errand to settle it."""
        callbacks.store(self._ctx, wallet, raw, source)

    def settle(self, callback_id: int) -> Outcome:
        """Judge a stored callback: find its attempt, ask the operator, apply the answer."""
        return callbacks.settle(self._ctx, callback_id)
