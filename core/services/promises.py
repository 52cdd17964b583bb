"""Promises to pay: made on the phone, kept by a payment, broken by the calendar, cancelled by a named person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.billing.queries import policy_on
from core.billing.tables import HoldRow
from core.customers.links import SEES_AMOUNTS
from core.customers.tables import ContractRow, PhoneLinkRow, SiteRow
from core.db import Database
from core.i18n import day as day_text
from core.kernel.clock import EAST, WEST, Clock, local_date
from core.kernel.digits import grouped
from core.kernel.errors import NotRecorded, StateConflict
from core.kernel.money import Money
from core.notices.staging import stage_notice
from core.promises import queries
from core.promises.model import PromiseCounts, PromiseLine
from core.promises.rules import HOLD, end_of, refusal
from core.promises.tables import PromiseRow
from core.settlement import effects
from core.settlement.dunning import facts_of, lock_contract, reevaluate
from core.turns import deeds
from core.turns.deeds import Kept, Say

log = structlog.get_logger(__name__)

MADE = "promise.make"
_CHUNK = 200
# How far back the console counts what became of promises.
_COUNTED = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Morning:
    """One run: people reminded of their day, promises whose day was over, promises found kept."""

    reminded: int = 0
    broken: int = 0
    kept: int = 0


class Promises:
    """Owns its transactions. `by` is a staff login."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def make(self, *, contract_id: int, promised_on: date, phone: str, language: str, turn_key: str, say: Say) -> Kept:
        """Take the word of `phone` that all the contract owes now is paid by the end of `promised_on`.

        `did`: {"on": day, "minor": …, "currency": …} or {"refused": code, "until": day or None}; the codes of
        `core.promises.rules`, or `not_yours` when the phone's link is not confirmed and fresh any more. The same
        `turn_key` again changes nothing. Raises NotRecorded.
        """

        with self._db.begin() as session:

            def do() -> Mapping[str, Any]:
                return self._make(session, contract_id, promised_on, phone, language)

            return deeds.once(session, turn_key=turn_key, kind=MADE, phone=phone, now=self._clock.now(), do=do, say=say)

    def cancel(self, promise_id: int, *, reason: str, by: str) -> None:
        """Take a promise back: its hold ends now. Raises StateConflict when it is not open, or without a reason."""
        if not reason.strip():
            raise StateConflict("a promise is cancelled with a reason")
        with self._db.begin() as session:
            contract_id = session.scalar(select(PromiseRow.contract_id).where(PromiseRow.id == promise_id))
            if contract_id is None:
                raise StateConflict(f"there is no promise {promise_id}")
            lock_contract(session, contract_id)
            row = queries.locked(session, promise_id)
            if row is None or row.state != "open":
                raise StateConflict(f"promise {promise_id} is not open any more")
            self._end(row, "cancelled", by, reason.strip()[:200])
            queries.end_hold(session, row.hold_id, self._clock.now())
            session.flush()
            reevaluate(session, clock=self._clock, contract_id=contract_id, cause="promise.cancelled")

    def morning(self) -> Morning:
        """Remind of the promises whose day is today, and mark those broken whose day is over; each zone by its own day.

        Running it twice, or late, reminds nobody twice.
        """
        reminded = broken = kept = 0
        for zone in (WEST, EAST):
            today, after = local_date(self._clock.now(), zone), 0
            while True:
                with self._db.read() as session:
                    found = queries.open_up_to(session, zone=zone, day=today, after=after, limit=_CHUNK)
                for promise_id, contract_id, promised_on in found:
                    outcome = self._guarded(promise_id, contract_id, over=promised_on < today)
                    reminded += outcome == "reminded"
                    broken += outcome == "broken"
                    kept += outcome == "kept"
                if not found:
                    break
                after = found[-1][0]
        if reminded or broken or kept:
            log.info("promises.morning", reminded=reminded, broken=broken, kept=kept)
        return Morning(reminded, broken, kept)

    # Looks.

    def listed(self, *, state: str | None = None, limit: int = 200) -> tuple[PromiseLine, ...]:
        """Promises in one state, or all."""
        with self._db.read() as session:
            return queries.lines(session, state=state, limit=limit)

    def one(self, promise_id: int) -> PromiseLine | None:
        with self._db.read() as session:
            return queries.one_line(session, promise_id)

    def of_contract(self, contract_id: int, *, limit: int = 10) -> tuple[PromiseLine, ...]:
        """A contract's promises, newest first."""
        with self._db.read() as session:
            return queries.of_contract(session, contract_id, limit=limit)

    def counts(self) -> PromiseCounts:
        """How many are open; how many were kept and broken in the last ninety days."""
        with self._db.read() as session:
            return queries.counts(session, since=self._clock.now() - _COUNTED)

    # Inside.

    def _make(
        self, session: Session, contract_id: int, promised_on: date, phone: str, language: str
    ) -> Mapping[str, Any]:
        now = self._clock.now()
        lock_contract(session, contract_id)
        contract = session.get_one(ContractRow, contract_id)
        if contract.state != "active" or not _may_speak(session, contract, phone, self._clock):
            return {"refused": "not_yours", "until": None}
        # One whose money has come, or whose day is over, stands in nobody's way.
        queries.settle(session, contract_id, now)
        policy = policy_on(session, now.date())
        facts = facts_of(session, (contract_id,), policy, now)[contract_id]
        earlier = queries.newest(session, contract_id)
        refused = refusal(facts, earlier, policy, now, promised_on)
        if refused is not None:
            return {"refused": refused.code, "until": refused.until.isoformat() if refused.until else None}
        self._break_old(session, contract_id)
        owed = sum(invoice.balance_minor for invoice in facts.invoices)
        row = PromiseRow(
            contract_id=contract_id,
            promised_on=promised_on,
            amount_minor=owed,
            currency=facts.currency,
            phone=phone,
            language=language,
            policy_version=policy.version,
            made_at=now,
        )
        session.add(row)
        session.flush()
        hold = HoldRow(
            contract_id=contract_id,
            kind=HOLD,
            from_at=now,
            until_at=end_of(promised_on, facts.zone),
            by=f"promise:{row.id}",
            reason="A promise to pay.",
        )
        session.add(hold)
        session.flush()
        row.hold_id = hold.id
        session.flush()
        reevaluate(session, clock=self._clock, contract_id=contract_id, cause="promise.made")
        return {"on": promised_on.isoformat(), "minor": owed, "currency": facts.currency}

    def _break_old(self, session: Session, contract_id: int) -> None:
        """An open promise whose day is long over, which no run has marked yet, makes room for a new one."""
        old = session.scalar(
            select(PromiseRow).where(PromiseRow.contract_id == contract_id, PromiseRow.state == "open")
        )
        if old is not None:
            self._end(old, "broken", "sweep")
            session.flush()

    def _guarded(self, promise_id: int, contract_id: int, *, over: bool) -> str:
        """Do one promise's part. A fault in one must not stop all that come after it, every morning anew."""
        try:
            with self._db.begin() as session:
                lock_contract(session, contract_id)
                return self._today(session, promise_id, contract_id, over=over)
        except NotRecorded:
            raise
        except Exception:
            log.exception("promises.one_failed", promise=promise_id)
            return "failed"

    def _today(self, session: Session, promise_id: int, contract_id: int, *, over: bool) -> str:
        queries.settle(session, contract_id, self._clock.now())
        row = queries.locked(session, promise_id)
        if row is None or row.state != "open":
            return row.state if row is not None else "gone"
        if not over:
            return self._remind(session, row)
        self._end(row, "broken", "sweep")
        session.flush()
        reevaluate(session, clock=self._clock, contract_id=contract_id, cause="promise.broken")
        return "broken"

    def _remind(self, session: Session, row: PromiseRow) -> str:
        """Tell the phone that promised, or the holder's where that one may not know any more."""
        contract = session.get_one(ContractRow, row.contract_id)
        fresh = [person for person in effects.holders(session, contract, clock=self._clock) if person.fresh]
        told = next((person for person in fresh if person.phone == row.phone), fresh[0] if fresh else None)
        if told is None:
            return "nobody"
        owed = queries.owed_of(session, row.contract_id, row.made_at)
        staged = stage_notice(
            session,
            clock=self._clock,
            kind="promise.today",
            key=f"promise:{row.id}:today",
            recipient=told.phone,
            language=told.language,
            blanks={
                "account": grouped(contract.account_number),
                "amount": Money(owed, row.currency).text,
                "promised": day_text(row.promised_on),
            },
            zone=session.scalars(select(SiteRow.time_zone).where(SiteRow.id == contract.site_id)).one(),
            customer_id=told.customer_id,
            contract_id=contract.id,
        )
        return "reminded" if staged is not None else "told already"

    def _end(self, row: PromiseRow, state: str, by: str, reason: str = "") -> None:
        row.state, row.ended_at, row.ended_by, row.end_reason = state, self._clock.now(), by, reason


def _may_speak(session: Session, contract: ContractRow, phone: str, clock: Clock) -> bool:
    """Whether this phone's link to the contract's customer is confirmed and fresh, and shows amounts."""
    found = session.scalar(
        select(PhoneLinkRow.id).where(
            PhoneLinkRow.phone == phone,
            PhoneLinkRow.customer_id == contract.customer_id,
            PhoneLinkRow.confirmed_at.is_not(None),
            PhoneLinkRow.fresh_until > clock.now(),
            PhoneLinkRow.role.in_(SEES_AMOUNTS),
        )
    )
    return found is not None
