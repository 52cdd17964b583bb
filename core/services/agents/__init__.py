"""Field agents: who they are, what they sell from their float, and the cash they bring.

Every method opens and ends its own short transaction. Where money moves, the turn's key makes it happen once: the same
key again answers with what was done the first time, also after a crash between the commit and the answer. Refusals are
`AgentRefused` with a code; NotRecorded means that nothing was committed and that the same key may come again.
"""

from __future__ import annotations

from datetime import datetime

from argon2 import PasswordHasher
from sqlalchemy import select, union_all

from core.agents import float_queries, queries
from core.agents.errors import AgentRefused
from core.agents.model import (
    AgentCreated,
    AgentRole,
    AgentSession,
    AgentView,
    CommissionRule,
    FloatEntry,
    FloatView,
    HandOver,
    Limits,
    Locked,
    PinChanged,
    PinRefused,
    Quote,
    Sale,
)
from core.agents.tables import AgentSaleRow, CashHandOverRow
from core.db import Database
from core.kernel.clock import Clock
from core.kernel.money import Money
from core.services.agents import cash, office, sales
from core.services.agents.context import Audit, Context
from core.services.agents.pins import Pins
from core.services.agents.sales import ProofSent
from core.turns.deeds import Kept, Say

__all__ = ["AgentRefused", "Agents", "Audit", "ProofSent"]


class Agents:
    """`audit`: `Staff.audit`. Times: PINs and "just now" count in real time, days and holds in business time."""

    def __init__(self, db: Database, clock: Clock, audit: Audit, *, hasher: PasswordHasher | None = None) -> None:
        # 46 MiB and one lane: one of the settings OWASP's password storage sheet lists as equal for Argon2id.
        hasher = hasher or PasswordHasher(time_cost=1, memory_cost=47_104, parallelism=1)
        self._ctx = Context(db, clock, audit, hasher)
        self._pins = Pins(self._ctx)

    # -- who is it ---------------------------------------------------------------------------------------------------

    def role_of(self, phone: str) -> AgentRole | None:
        """The active agent that this number (E.164) is, None for everybody else. Nothing of the float is in it."""
        with self._ctx.db.read() as session:
            agent = queries.by_phone(session, phone)
            if agent is None or not agent.active:
                return None
            return AgentRole(agent.id, agent.code, agent.name, agent.currency)

    def enter(self, phone: str, pin: str, turn_key: str | None = None) -> AgentSession | PinRefused | Locked:
        """Check a PIN. Wrong tries count for the agent, over all sessions: after each the wait grows, after five the
        number is locked for an hour, then longer. An unknown number costs the same work and is just wrong.

        The same `turn_key` again is the same try: it counts once, and is answered as the first time."""
        return self._pins.enter(phone, pin, turn_key)

    def change_pin(self, agent_id: int, old: str, new: str) -> PinChanged | PinRefused | Locked:
        """Another PIN, 4 to 6 digits. A wrong old one counts as any wrong try.

        Raises AgentRefused: pin_weak (0000, 1234, a year, the own number's end), pin_same.
        """
        return self._pins.change(agent_id, old, new)

    def propose_pin(self, agent_id: int, new: str, entry: str) -> None:
        """Another PIN, typed for the first time by an agent who has entered: its hash waits ten minutes for
        `confirm_pin`. Again is harmless: until then nothing counts. `entry`: that of the `AgentSession`; where the PIN
        was made anew since, the session may be a thief's and can change nothing (pin_must_change).

        Raises AgentRefused: not_active, pin_must_change, pin_weak, pin_same.
        """
        self._pins.propose(agent_id, new, entry)

    def confirm_pin(self, agent_id: int, again: str, *, phone: str, turn_key: str, say: Say) -> Kept:
        """The new PIN typed again: if it is the same it counts from now on (`changed`), else both are forgotten
        (`refused`: pin_differs, not_active). Once for each turn; `say` as in `core.turns.deeds`."""
        return self._pins.confirm(agent_id, again, phone, turn_key, say)

    def reset_pin(self, agent_id: int, by: str) -> str:
        """A new one-time PIN, shown once; unlocks. Nothing but `change_pin` is allowed with it. Raises AgentRefused."""
        return self._pins.reset(agent_id, by)

    # -- sales -------------------------------------------------------------------------------------------------------

    def quote_sale(self, agent_id: int, account_number: str, amount: Money, *, again: bool = False) -> Quote:
        """The sale as it would be: name (masked), commission, float afterwards. Two reads, nothing is written.

        `again` True: the agent has seen that the same sale was made a moment ago. Raises AgentRefused: not_active,
        pin_must_change, account_unknown, account_closed, currency_differs, amount_not_whole, below_limit, above_limit,
        day_limit, sim_hold, float_short, sold_just_now.
        """
        return sales.quote(self._ctx, agent_id, account_number, amount, again=again)

    def sell(
        self,
        agent_id: int,
        account_number: str,
        amount: Money,
        turn_key: str,
        end_text: str,
        *,
        again: bool = False,
    ) -> Sale:
        """Make the sale: float down, the customer's invoices or credit up, the proof staged, in one transaction.

        `end_text`: the END of this turn; `core.agents.rules.CODE_BLANK` in it is replaced by the sale's code, read
        back in groups and as long. The same `turn_key` again gives the first sale with its END, whatever changed since.
        Raises AgentRefused as `quote_sale` does, and same_key; NotRecorded.
        """
        return sales.sell(self._ctx, agent_id, account_number, amount, turn_key, end_text, again=again)

    def last_sales(self, agent_id: int, n: int = 5, *, by_agent: bool = False) -> list[Sale]:
        """Newest first, each with what is known of its proof. One read. `by_agent`: the agent asks, not the office.

        Raises AgentRefused with `by_agent`: not_active, pin_must_change.
        """
        return sales.last_sales(self._ctx, agent_id, n, by_agent=by_agent)

    def resend_proof(self, agent_id: int, sale_code: str, *, phone: str = "", turn_key: str | None = None) -> ProofSent:
        """The proof once more, to the account's confirmed phone; three times at most, and once for each `turn_key`.

        `phone`: whose turn it is.
        Raises AgentRefused: not_active, pin_must_change, sale_unknown (also another agent's), proofs_used_up, no_phone.
        """
        return sales.resend_proof(self._ctx, agent_id, sale_code, phone=phone, turn_key=turn_key)

    def end_text(self, turn_key: str) -> str | None:
        """The END stored with the sale or the hand-over of this turn; None when it made none."""
        with self._ctx.db.read() as session:
            found: str | None = session.scalar(
                union_all(
                    select(AgentSaleRow.end_text).where(AgentSaleRow.turn_key == turn_key),
                    select(CashHandOverRow.end_text).where(CashHandOverRow.turn_key == turn_key),
                )
            )
            return found

    # -- the float ---------------------------------------------------------------------------------------------------

    def float_of(self, agent_id: int, *, by_agent: bool = False) -> FloatView:
        """Balance, what is left to sell, today's sales, commission not yet paid out. One read. `by_agent`: the agent
        asks, not the office.

        Raises AgentRefused: not_active for nobody; with `by_agent` also for one switched off, and pin_must_change.
        """
        with self._ctx.db.read() as session:
            view = float_queries.float_view(session, agent_id, now=self._ctx.clock.now(), by_agent=by_agent)
        if view is None:
            raise AgentRefused("not_active")
        return view

    def entries(self, agent_id: int, limit: int = 50, after: str | None = None) -> list[FloatEntry]:
        """The float's movements for the console, newest first. `after`: the id of the last line of the page before."""
        with self._ctx.db.read() as session:
            return float_queries.entries(session, agent_id, limit=limit, after=after)

    # -- cash --------------------------------------------------------------------------------------------------------

    def offer_cash(self, agent_id: int, amount: Money, turn_key: str, end_text: str = "") -> HandOver:
        """Say that cash is being handed over: a code for the cashier, good for 24 hours. Nothing is booked yet.

        `end_text`, `turn_key`: as in `sell`. Raises AgentRefused: not_active, pin_must_change, currency_differs,
        amount_not_whole, above_limit, hand_over_open (one at a time), same_key.
        """
        return cash.offer(self._ctx, agent_id, amount, turn_key, end_text)

    def open_cash(self, agent_id: int) -> HandOver | None:
        """The offer that waits for a cashier, None when there is none. One read."""
        with self._ctx.db.read() as session:
            return float_queries.waiting_hand_over(session, agent_id, now=self._ctx.clock.now())

    def hand_over(self, code: str) -> HandOver:
        """What a code stands for: read before the cash is counted. Raises AgentRefused hand_over_unknown."""
        return cash.look(self._ctx, code)

    def accept_cash(self, code: str, cashier_login: str) -> HandOver:
        """The cashier has counted it: the float goes up, once. The same cashier again gets the same answer.

        Raises AgentRefused: hand_over_unknown, hand_over_ended, hand_over_expired, cashier_unknown.
        """
        return cash.accept(self._ctx, code, cashier_login)

    def withdraw_cash(self, agent_id: int, code: str) -> HandOver:
        """The agent takes the offer back. Raises AgentRefused as `accept_cash` does."""
        return cash.withdraw(self._ctx, agent_id, code)

    def expire_hand_overs(self) -> int:
        """End what nobody accepted within 24 hours; how many. For a schedule: an old code is refused without it."""
        return cash.expire(self._ctx)

    def hand_overs(self, agent_id: int | None = None, limit: int = 50) -> list[HandOver]:
        """Newest first, of one agent or of all."""
        with self._ctx.db.read() as session:
            return float_queries.hand_overs(session, agent_id=agent_id, limit=limit)

    # -- the office --------------------------------------------------------------------------------------------------

    def create(
        self, name: str, phone: str, *, agency_id: int, credit_limit: Money, by: str, code: str | None = None
    ) -> AgentCreated:
        """A new agent with a one-time PIN; the float's currency is the credit limit's.

        `phone` as somebody types it. Raises AgentRefused: phone_invalid, phone_taken, code_taken, agency_unknown,
        limits_invalid.
        """
        return office.create(
            self._ctx, self._pins, name, phone, agency_id=agency_id, credit_limit=credit_limit, by=by, code=code
        )

    def set_active(self, agent_id: int, active: bool, by: str) -> None:
        """Switch an agent off, from the next act on, or on again. The float stays. Raises AgentRefused."""
        office.set_active(self._ctx, agent_id, active, by)

    def note_sim_changed(self, agent_id: int, by: str) -> datetime:
        """Another SIM is in the agent's phone: large sales wait 24 hours from this moment, which is returned.

        Business time. Raises AgentRefused not_active for an id that nobody has.
        """
        return office.note_sim_changed(self._ctx, agent_id, by)

    def set_credit_limit(self, agent_id: int, limit: Money, by: str) -> None:
        """How far below zero the float may go; its floor in the ledger changes in the same transaction.

        Raises AgentRefused: limit_below_debt (the float is further below zero now), limits_invalid, currency_differs.
        """
        office.set_credit_limit(self._ctx, agent_id, limit, by)

    def set_limits(self, agent_id: int, limits: Limits, by: str) -> None:
        """Per sale, per day, and from where on a sale is large. Raises AgentRefused limits_invalid."""
        office.set_limits(self._ctx, agent_id, limits, by)

    def add_commission_rule(
        self,
        currency: str,
        basis_points: int,
        *,
        by: str,
        min_minor: int = 0,
        max_minor: int | None = None,
        valid_from: datetime | None = None,
        valid_until: datetime | None = None,
        agent_id: int | None = None,
    ) -> int:
        """A new version of what agents get, for one or for all; returns its number. No version is ever changed.

        `valid_from` None: from now on (business time); never in the past. Raises AgentRefused rule_invalid.
        """
        return office.add_commission_rule(
            self._ctx,
            currency,
            basis_points,
            min_minor=min_minor,
            max_minor=max_minor,
            valid_from=valid_from,
            valid_until=valid_until,
            agent_id=agent_id,
            by=by,
        )

    def write_first_rules(self, by: str = "system") -> list[str]:
        """A general rule for every currency that has none yet; returns those currencies. Again: nothing."""
        return office.write_first_rules(self._ctx, by)

    def commission_rules(self, agent_id: int | None = None) -> list[CommissionRule]:
        """Every version, newest first; `agent_id`: that agent's own and the general ones."""
        with self._ctx.db.read() as session:
            return queries.commission_rules(session, agent_id=agent_id)

    def agents(self) -> list[AgentView]:
        """All agents by code, for the console."""
        with self._ctx.db.read() as session:
            return queries.agent_views(session)

    def agent(self, agent_id: int) -> AgentView:
        """One agent. Raises AgentRefused not_active for an id that nobody has."""
        with self._ctx.db.read() as session:
            found = queries.agent_views(session, agent_id=agent_id)
        if not found:
            raise AgentRefused("not_active")
        return found[0]
