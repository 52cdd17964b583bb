"""Asking wallets for money, finding out what became of it, and booking what arrived.

`Payments` is what channels, workers and the console call. Every step is one short transaction; no wallet is ever called
inside one; each step may be cut off before or after and is picked up by the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.db import Database
from core.kernel.clock import Clock
from core.outbox import Outcome
from core.payments.model import BeginRefused, Begun, Offer, OpenSessions, PaymentRequest
from core.payments.ports import BillPayment, BillRefusal, Paid, RawCallback, Wallet
from core.services.payments import begin, bills, callbacks, carry
from core.services.payments.circuits import Circuits, CircuitState
from core.services.payments.context import Context
from core.services.payments.pace import Lanes, NoTurnstile, Turnstile

__all__ = ["CircuitState", "Payments"]


class Payments:
    """One instance per process. `routes`: brand → names of the wallets that collect for it, the preferred one first.

    `query_scale` shortens the schedule of questions in tests and the sandbox; 1.0 in production. `callback_bases`:
    wallet → the address of its door, secret included, without the kind.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        wallets: Mapping[str, Wallet],
        routes: Mapping[str, Sequence[str]],
        open_sessions: OpenSessions,
        *,
        query_scale: float = 1.0,
        push_delay_s: float = 3.0,
        callback_bases: Mapping[str, str] | None = None,
        turnstile: Turnstile | None = None,
    ) -> None:
        self.circuits = Circuits(db, clock)
        self._ctx = Context(
            db,
            clock,
            wallets,
            routes,
            open_sessions,
            query_scale,
            push_delay_s,
            callback_bases or {},
            self.circuits,
            turnstile or NoTurnstile(),
            Lanes(),
        )

    def brands(self) -> tuple[str, ...]:
        """The brands that some wallet of ours collects for."""
        return tuple(brand for brand, names in self._ctx.routes.items() if set(names) & set(self._ctx.wallets))

    def offers(self, currency: str) -> tuple[Offer, ...]:
        """What a customer may choose for money in this currency, from memory: no database is asked."""
        return self._ctx.offers(currency)

    def begin(self, request: PaymentRequest) -> Begun | BeginRefused:
        """Commit an attempt and the errand to push it, in one transaction. The same turn key finds the first one."""
        return begin.begin(self._ctx, request)

    def cancel(self, attempt_id: str, by: str) -> bool:
        """Take an attempt back. Only before a request left: afterwards it is "ignore the request on your phone"."""
        return begin.cancel(self._ctx, attempt_id, by)

    def push(self, attempt_id: str) -> Outcome:
        """Ask the wallet to collect one attempt, once. An unknown outcome is left to `query`."""
        return carry.push(self._ctx, attempt_id)

    def query(self, attempt_id: str, *, by: str = "query") -> Outcome:
        """Ask the wallet what became of an attempt."""
        return carry.query(self._ctx, attempt_id, by=by)

    def ask_soon(self, attempt_id: str, by: str) -> bool:
        """Stage a question now, because a person wants to know. False where there is nothing to ask."""
        return carry.ask_soon(self._ctx, attempt_id, by)

    def record_statement(self, attempt_id: str, paid: Paid) -> Outcome:
        """Book a success that the operator's own statement shows."""
        return carry.record(self._ctx, attempt_id, paid, by="statement")

    def book_bill(self, wallet: str, bill: BillPayment, *, found_by: str = "bill") -> str | None:
        """Book money that came by our bill number, once per transaction. Returns the payment's id."""
        return bills.book_bill(self._ctx, wallet, bill, found_by=found_by)

    def refuse_bill(self, wallet: str, bill: BillPayment) -> BillRefusal | None:
        """Whether somebody who is about to pay by bill number should be stopped. None: let it come."""
        return bills.refuse(self._ctx, wallet, bill)

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
