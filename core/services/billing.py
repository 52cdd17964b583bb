"""Billing: an invoice's way from draft to sent, the nightly sweep of dunning, and the batch that cuts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar

import structlog
from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from core import outbox
from core.billing import queries
from core.billing.dunning import evaluate
from core.billing.model import DunningVerdict
from core.billing.numbering import invoice_number
from core.billing.tables import DunningCycleRow, InvoiceLineRow, InvoiceRow, ReminderRow
from core.customers.tables import ContractRow, SiteRow
from core.db import Database
from core.kernel.clock import EAST, WEST, Clock, local_date
from core.kernel.errors import NotRecorded, StateConflict
from core.kernel.ids import new_uuid
from core.kernel.money import Money
from core.services.credit_notes import shares, write_credit_note
from core.settlement import offs, post
from core.settlement.candidates import cut_without_reason, sweep_candidates, window_end
from core.settlement.dunning import (
    NONPAYMENT,
    SWEEP,
    calendars,
    facts_of,
    keep_decision,
    lock_contract,
    off_policy,
    reevaluate,
)
from core.settlement.events import InvoiceSent
from core.supply.commands import want_supply
from core.supply.rules import window_on
from core.supply.tables import CrewTaskRow

log = structlog.get_logger(__name__)

# Contracts read and judged at a time. What must be written is written one contract a transaction: a few milliseconds
# each, so that nobody at a phone waits for the sweep.
CHUNK = 200

# Asked once for each of a month's invoices: built once.
_CONTRACT_OF = select(InvoiceRow.contract_id).where(InvoiceRow.id == bindparam("invoice_id"))
_CONTRACT = (
    select(ContractRow)
    .where(ContractRow.id == bindparam("contract_id"))
    .with_for_update(key_share=True)
    .execution_options(populate_existing=True)
)
_INVOICE = (
    select(InvoiceRow)
    .where(InvoiceRow.id == bindparam("invoice_id"))
    .with_for_update(key_share=True)
    .execution_options(populate_existing=True)
)
_REMINDERS = (
    select(func.count())
    .select_from(ReminderRow)
    .join(InvoiceRow, InvoiceRow.id == ReminderRow.invoice_id)
    .where(InvoiceRow.contract_id == bindparam("contract_id"))
)
_ZONE = select(SiteRow.time_zone).where(SiteRow.id == bindparam("site_id"))


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an invoice: `amount` with its tax in it, or the tax itself where `levy` names one."""

    label: str
    amount: Money
    quantity: str = "1"
    levy: str | None = None


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Swept:
    """One sweep: contracts looked at, steps made, supplies given back that should have been on."""

    looked_at: int = 0
    steps: int = 0
    given_back: int = 0


@dataclass(frozen=True, slots=True)
class CutBatch:
    """One batch: contracts whose supply was commanded off, and those held, with the codes of why not."""

    cut: tuple[int, ...] = ()
    held: tuple[tuple[int, tuple[str, ...]], ...] = ()


class Billing:
    """Owns its transactions. `by` is who asked: a staff login, or `system`."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    # The life of an invoice.

    def draft_invoice(self, contract_id: int, *, period: str, lines: Sequence[Line]) -> int:
        """Write a draft; its id. It gets its number when it is validated, so that the series has no gaps.

        Raises StateConflict when the contract is closed, or the lines are none or not of one currency.
        """
        if not lines or len({line.amount.currency for line in lines}) != 1:
            raise StateConflict("an invoice has lines, all in one currency")
        total = sum(line.amount.minor for line in lines)
        tax = sum(line.amount.minor for line in lines if line.levy)
        with self._db.begin() as session:
            contract = session.get(ContractRow, contract_id)
            if contract is None or contract.state != "active" or contract.currency != lines[0].amount.currency:
                raise StateConflict(f"contract {contract_id} cannot be invoiced in {lines[0].amount.currency}")
            invoice = InvoiceRow(
                number=f"DRAFT-{new_uuid()[:13]}",
                contract_id=contract_id,
                period=period,
                currency=contract.currency,
                total_minor=total,
                tax_minor=tax,
                issued_on=self._today(session, contract),
            )
            session.add(invoice)
            session.flush()
            for position, line in enumerate(lines, start=1):
                session.add(
                    InvoiceLineRow(
                        invoice_id=invoice.id,
                        position=position,
                        label=line.label,
                        quantity=line.quantity,
                        amount_minor=line.amount.minor,
                        levy=line.levy,
                    )
                )
            return invoice.id

    def validate_invoice(self, invoice_id: int) -> str:
        """Fix a draft: from now on it is never edited, only credited or cancelled. Its PDF is made. Returns its number.

        Raises StateConflict for what is no draft, or an amount that cannot be charged (CDF in whole francs).
        """
        with self._db.begin() as session:
            invoice, contract = self._locked(session, invoice_id)
            if invoice.state != "draft":
                raise StateConflict(f"invoice {invoice.number} is {invoice.state}, not a draft")
            if not Money(invoice.total_minor, invoice.currency).is_chargeable:
                raise StateConflict(f"invoice {invoice.number} is not in whole francs")
            invoice.issued_on = self._today(session, contract)
            invoice.number = invoice_number(session, contract, invoice.issued_on.year)
            invoice.state = "validated"
            key, body = f"document.invoice:{invoice.id}", {"invoice_id": invoice.id}
            # After what people wait for: a month has many.
            outbox.stage(session, kind="document.invoice", key=key, body=body, clock=self._clock, priority=8)
            return invoice.number

    def send_invoice(self, invoice_id: int, *, by: str = "system") -> None:
        """Send a validated invoice: it is owed, its clock of dunning starts, and its notice goes out.

        Raises StateConflict when it is not validated or its contract is closed.
        """
        with self._db.begin() as session:
            invoice, contract = self._locked(session, invoice_id)
            if invoice.state != "validated":
                raise StateConflict(f"invoice {invoice.number} is {invoice.state}, not validated")
            if contract.state != "active":
                raise StateConflict(f"the contract of invoice {invoice.number} is closed")
            today = self._today(session, contract)
            invoice.state, invoice.sent_on, invoice.sent_at = "sent", today, self._clock.now()
            session.add(DunningCycleRow(invoice_id=invoice.id, cycle=invoice.cycle, started_on=today, cause="sent"))
            session.flush()
            post(
                session,
                InvoiceSent(key=f"invoice:{invoice.id}:sent", invoice_id=invoice.id, actor=by),
                clock=self._clock,
            )

    def cancel_invoice(self, invoice_id: int, *, reason: str, by: str = "system") -> None:
        """Cancel an invoice; one that was sent is credited in full first. What was cut for it comes back.

        Raises StateConflict when money was put on it (then it is credited, not cancelled), or it is cancelled already.
        """
        with self._db.begin() as session:
            invoice, contract = self._locked(session, invoice_id)
            if invoice.state == "cancelled":
                raise StateConflict(f"invoice {invoice.number} is cancelled already")
            if invoice.paid_minor > 0:
                raise StateConflict(f"money was put on invoice {invoice.number}: write a credit note")
            if invoice.state == "sent":
                parts = shares(session, invoice, invoice.total_minor)
                write_credit_note(session, invoice, contract, parts, clock=self._clock, reason=reason, by=by)
            invoice.state = "cancelled"

    # Dunning.

    def sweep(self) -> Swept:
        """Make every step that is due today, everywhere. Running it twice, or late, does nothing twice or too early.

        Set-based: of the open invoices a few statements find those for which something may be due; only their
        contracts are evaluated, and only one group of them is held in memory at a time.
        """
        now = self._clock.now()
        looked = steps = back = 0
        for contract_id, verdict in self._judged(self._candidates(now), now):
            looked += 1
            if verdict.steps:
                steps += self._guarded(self._step, contract_id) or 0
        for contract_id, verdict in self._judged(self._cut_without_reason(now), now):
            if not verdict.off_due:
                back += 1
                self._guarded(self._step, contract_id)
        if steps or back:
            log.info("dunning.swept", looked_at=looked, steps=steps, given_back=back)
        return Swept(looked, steps, back)

    @staticmethod
    def _guarded(act: Callable[[int], T], contract_id: int) -> T | None:
        """Do one contract's part. A fault in one must not stop all that come after it, every night anew."""
        try:
            return act(contract_id)
        except NotRecorded:
            raise
        except Exception:
            log.exception("dunning.contract_failed", contract=contract_id)
            return None

    def cut_batch(self, zone: str) -> CutBatch:
        """Command off where it is due and books and guards allow it now, in one time zone.

        Each contract is decided in its own transaction, under its lock, with the facts read there: a payment that
        came a moment before is seen. What is held keeps its reasons in a decision.
        """
        cut: list[int] = []
        held: list[tuple[int, tuple[str, ...]]] = []

        def announced(session: Session, after: int) -> Sequence[int]:
            return queries.announced_contracts(session, zone=zone, after=after, limit=CHUNK)

        for contract_id, verdict in self._judged(self._pages(announced), self._clock.now()):
            if not verdict.cut_now:
                continue
            codes = self._guarded(self._cut, contract_id)
            if codes is None:
                continue
            if codes:
                held.append((contract_id, codes))
            else:
                cut.append(contract_id)
        if cut or held:
            log.info("dunning.cut_batch", zone=zone, cut=len(cut), held=len(held))
        return CutBatch(tuple(cut), tuple(held))

    def notice_handed_over(self, task_id: int, *, by: str) -> bool:
        """A crew handed a notice over: that is evidence. False when the task is no open notice; nothing changed."""
        with self._db.begin() as session:
            task = session.get(CrewTaskRow, task_id, with_for_update={"key_share": True})
            if task is None or task.kind != "notice" or task.state != "open":
                return False
            task.state, task.done_at, task.done_by = "done", self._clock.now(), by
            reminder = session.get(ReminderRow, int(task.key.partition(":")[2]))
            if reminder is not None and reminder.delivered_at is None:
                reminder.delivered_at, reminder.evidence = self._clock.now(), "crew"
            return True

    # Inside.

    def _judged(self, groups: Iterable[Sequence[int]], now: datetime) -> Iterator[tuple[int, DunningVerdict]]:
        """Each contract with its verdict at `now`. Reads only, CHUNK contracts at a time."""
        with self._db.read() as session:
            policy = queries.policy_on(session, now.date())
        calendar_of = calendars(off_policy(policy), now)
        for ids in groups:
            for start in range(0, len(ids), CHUNK):
                chunk = ids[start : start + CHUNK]
                with self._db.read() as session:
                    facts = facts_of(session, chunk, policy, now, calendar_of=calendar_of)
                yield from [(i, evaluate(facts[i], policy, now)) for i in chunk]

    def _pages(self, page: Callable[[Session, int], Sequence[int]]) -> Iterator[Sequence[int]]:
        """What `page` (session, after) names, page by page, until it names nobody."""
        after = 0
        while True:
            with self._db.read() as session:
                ids = page(session, after)
            if not ids:
                return
            yield ids
            after = ids[-1]

    def _candidates(self, now: datetime) -> Iterator[Sequence[int]]:
        """Contracts with a step that may be due, one window of open invoices after another."""
        today = max(local_date(now, zone) for zone in (WEST, EAST))
        after = 0
        while True:
            with self._db.read() as session:
                policy = queries.policy_on(session, now.date())
                upto = window_end(session, after=after)
                ids = sweep_candidates(session, policy=policy, today=today, after=after, upto=upto)
            yield ids
            if upto is None:
                return
            after = upto

    def _cut_without_reason(self, now: datetime) -> Iterator[Sequence[int]]:
        def page(session: Session, after: int) -> Sequence[int]:
            policy = queries.policy_on(session, now.date())
            return cut_without_reason(session, policy=policy, after=after, limit=CHUNK)

        return self._pages(page)

    def _step(self, contract_id: int) -> int:
        """Evaluate again under the lock and make what is due; how many reminders came of it."""
        with self._db.begin() as session:
            lock_contract(session, contract_id)
            before = _reminders(session, contract_id)
            reevaluate(session, clock=self._clock, contract_id=contract_id, cause=SWEEP)
            return _reminders(session, contract_id) - before

    def _cut(self, contract_id: int) -> tuple[str, ...]:
        """Decide one contract under its lock. Empty: off was commanded; otherwise the codes of why not."""
        with self._db.begin() as session:
            lock_contract(session, contract_id)
            asked = offs.ask(session, clock=self._clock, contract_id=contract_id)
            made = None
            if asked.may_cut:
                made = self._want_off(session, asked)
            held: list[dict[str, Any]] = [reason.as_json() for reason in asked.held]
            keep_decision(
                session,
                clock=self._clock,
                facts=asked.facts,
                verdict=asked.verdict,
                supply="off" if made is not None else "on",
                cause="cut_batch",
                held=held,
            )
            if made is not None:
                return ()
            codes = [why.code for why in asked.verdict.why_not] + [reason.code for reason in asked.held]
            return tuple(codes) or ("already_so",)

    def _want_off(self, session: Session, asked: offs.OffAnswer) -> int | None:
        facts, now = asked.facts, self._clock.now()
        window = window_on(off_policy(asked.policy), local_date(now, facts.zone), facts.zone)
        meter_id = session.scalar(select(ContractRow.meter_id).where(ContractRow.id == facts.contract_id))
        assert meter_id is not None
        assert window is not None
        return want_supply(
            session,
            clock=self._clock,
            meter_id=meter_id,
            supply="off",
            reason=NONPAYMENT,
            contract_id=facts.contract_id,
            invoice_id=asked.verdict.off_invoice_id,
            not_before=now,
            not_after=window[1],
            set_by="cut_batch",
        )

    def _locked(self, session: Session, invoice_id: int) -> tuple[InvoiceRow, ContractRow]:
        """An invoice and its contract, the contract's row locked first, both read under the lock."""
        contract_id = session.scalar(_CONTRACT_OF, {"invoice_id": invoice_id})
        if contract_id is None:
            raise StateConflict(f"there is no invoice {invoice_id}")
        contract = session.scalars(_CONTRACT, {"contract_id": contract_id}).one()
        return session.scalars(_INVOICE, {"invoice_id": invoice_id}).one(), contract

    def _today(self, session: Session, contract: ContractRow) -> date:
        zone = session.scalars(_ZONE, {"site_id": contract.site_id}).one()
        return local_date(self._clock.now(), zone)


def _reminders(session: Session, contract_id: int) -> int:
    return int(session.scalar(_REMINDERS, {"contract_id": contract_id}) or 0)
