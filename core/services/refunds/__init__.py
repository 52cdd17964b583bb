"""Giving money back by the wallet it came from: asked for by one person, approved by another, POSTed once.

`Refunds` is what the console, the workers and the dispatcher call. Every step is one short transaction; no wallet is
called inside one; each step may be cut off before or after and is picked up by the next.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.db import Database
from core.kernel.clock import Clock
from core.kernel.money import Money
from core.outbox import Outcome
from core.payments.ports import Wallet
from core.payments.refund_model import WORDS, RefundRefused, RefundView, Returnable
from core.services.payments.pace import Lanes, NoTurnstile, Turnstile
from core.services.refunds import ask, carry, due, reads
from core.services.refunds.context import Context

# Of the threads that carry wallet calls, so many may be busy with one operator's refunds: customers go first.
LANES = 6

__all__ = ["WORDS", "RefundRefused", "RefundView", "Refunds", "Returnable"]


class Refunds:
    """One instance per process.

    `query_scale` shortens the schedule of questions in tests and the sandbox; 1.0 in production. `callback_bases`:
    wallet → our address for its callbacks, up to the kind; a wallet without one is told no address. `turnstile`: the
    payments' one, for an operator counts all our calls together.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        wallets: Mapping[str, Wallet],
        *,
        query_scale: float = 1.0,
        callback_bases: Mapping[str, str] | None = None,
        turnstile: Turnstile | None = None,
    ) -> None:
        self._ctx = Context(
            db, clock, wallets, query_scale, callback_bases or {}, turnstile or NoTurnstile(), Lanes(LANES)
        )

    # -- people

    def returnable(self, payment_id: str) -> Returnable:
        """How much of a payment may be given back now, and if nothing, why. Raises RefundRefused `unknown`."""
        return ask.returnable(self._ctx, payment_id)

    def request(self, payment_id: str, amount: Money, reason: str, by: str) -> str:
        """Ask for a refund. Returns its id. Nothing moves before another person has approved it.

        Raises RefundRefused; its `code` says why, `WORDS[code]` is the sentence for the console.
        """
        return ask.request(self._ctx, payment_id, amount, reason, by)

    def decide(self, refund_id: str, *, approve: bool, note: str, by: str) -> None:
        """Approve or reject. Approving sets the money aside and stages the errand, in one transaction.

        Raises RefundRefused: the maker himself, decided already, or the credit is gone meanwhile.
        """
        ask.decide(self._ctx, refund_id, approve=approve, note=note, by=by)

    def cancel(self, refund_id: str, by: str) -> None:
        """Take a request back, before anybody decided. Raises RefundRefused `not_waiting`."""
        ask.cancel(self._ctx, refund_id, by)

    def conclude(self, refund_id: str, *, paid: bool, note: str, by: str) -> None:
        """Close what needs attention by what the operator said to a person. Not by the maker. Raises RefundRefused.

        What the books have otherwise is put right; of a payment that the operator took back, they stay as they are.
        """
        carry.conclude(self._ctx, refund_id, paid=paid, note=note, by=by)

    def listed(
        self,
        *,
        open_only: bool = False,
        payment_id: str | None = None,
        contract_id: int | None = None,
        limit: int = 200,
    ) -> list[RefundView]:
        """Refunds, newest first. `open_only`: those that somebody still has to end, contradictions among them."""
        return reads.listed(self._ctx, open_only=open_only, payment_id=payment_id, contract_id=contract_id, limit=limit)

    def one(self, refund_id: str) -> RefundView | None:
        return reads.one(self._ctx, refund_id)

    # -- workers

    def push(self, refund_id: str) -> Outcome:
        """Have the wallet pay one refund, once. An unknown outcome is left to `query`."""
        return carry.push(self._ctx, refund_id)

    def query(self, refund_id: str, *, by: str = "query") -> Outcome:
        """Ask the wallet what became of a refund. `by` `console`: also while the operator is left alone."""
        return carry.query(self._ctx, refund_id, by=by)

    def ask_soon(self, refund_id: str, by: str) -> bool:
        """ "Query now" in the console: stage the question, before all others. False: there is nothing to ask."""
        return carry.ask_soon(self._ctx, refund_id, by)

    def settle_callback(self, refund_id: str) -> Outcome:
        """A callback spoke of this refund. Nothing in it is believed: the operator is asked."""
        return carry.query(self._ctx, refund_id, by="callback")

    def stage_due_queries(self, limit: int = 100) -> int:
        """Turn due questions into errands, and errands that died into new ones. Called by the dispatcher."""
        return due.stage_due_queries(self._ctx, limit)

    def rescue_stuck(self, limit: int = 50) -> int:
        """What no errand gets through: asked ones are asked about, and after a day are a person's; those that never
        left have failed, and their money goes back. Called by the dispatcher. Returns how many."""
        return due.rescue_stuck(self._ctx, limit)
