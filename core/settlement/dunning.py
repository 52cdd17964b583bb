"""Dunning inside the transaction that changes something: steps written, notices staged, supply wanted on.

Nothing here takes a lock: the caller holds the contract's row (`lock_contract`), so that what is read is what is true
until the caller commits. Off is never wanted here; that is the batch's part (`core.services.billing`), which asks
`may_disconnect` first. On is never held.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, cast
from zoneinfo import ZoneInfo

from sqlalchemy import Table, bindparam, func, insert, or_, select
from sqlalchemy.orm import Session

from core.billing import queries
from core.billing.dunning import evaluate
from core.billing.model import Calendar, DunningFacts, DunningVerdict, MadeStep, StepDue
from core.billing.policy import DunningPolicy
from core.billing.tables import DunningDecisionRow, InvoiceRow, ReminderRow
from core.customers.tables import ContractRow
from core.i18n import day as day_text
from core.kernel.clock import Clock, local_date
from core.kernel.digits import grouped
from core.kernel.errors import StateConflict
from core.kernel.money import Money
from core.notices.mailing import email_customer
from core.notices.staging import stage_notice
from core.promises import queries as promises
from core.settlement import effects
from core.settlement.candidates import off_on_its_way
from core.supply.commands import ON_LIFE, open_task, want_supply
from core.supply.rules import OffPolicy, window_on
from core.supply.tables import MeterDesiredRow, MeterReportedRow

NONPAYMENT = "nonpayment"
SWEEP = "sweep"
# How far ahead permitted days are looked up: a cycle and the longest row of holidays after it.
_DAYS_AHEAD = 60
_KINDS = {"reminder": "dunning.reminder", "warning": "dunning.warning", "announcement": "dunning.announcement"}

# Asked with every payment and every invoice: built once.
_STEP = insert(cast(Table, ReminderRow.__table__))
_DECISION = insert(cast(Table, DunningDecisionRow.__table__))
_LOCK = select(ContractRow.id).where(ContractRow.id == bindparam("contract_id")).with_for_update(key_share=True)
_CUT_ALREADY = (
    select(ContractRow.id)
    .join(MeterDesiredRow, MeterDesiredRow.meter_id == ContractRow.meter_id)
    .outerjoin(MeterReportedRow, MeterReportedRow.meter_id == ContractRow.meter_id)
    .where(
        ContractRow.id.in_(bindparam("ids", expanding=True)),
        MeterDesiredRow.supply == "off",
        or_(off_on_its_way(), MeterReportedRow.supply == "off"),
    )
)
_DESIRED = (
    select(MeterDesiredRow)
    .join(ContractRow, ContractRow.meter_id == MeterDesiredRow.meter_id)
    .where(ContractRow.id == bindparam("contract_id"))
    .execution_options(populate_existing=True)
)


def lock_contract(session: Session, contract_id: int) -> None:
    """Take the row that is locked first when money moves. SQLite's writer holds the whole database already."""
    if session.scalar(_LOCK, {"contract_id": contract_id}) is None:
        raise StateConflict(f"there is no contract {contract_id}")


def reevaluate(session: Session, *, clock: Clock, contract_id: int, cause: str) -> DunningVerdict:
    """Ask dunning again about one contract and carry out what follows, in the caller's transaction.

    The caller holds the contract's row. `cause`: the kind of the event, or SWEEP. Steps are made by the sweep alone,
    so that money that arrives can never bring a reminder; the first notice of an invoice goes out when it is sent.
    """
    now = clock.now()
    promises.settle(session, contract_id, now)
    policy = queries.policy_on(session, now.date())
    facts = facts_of(session, (contract_id,), policy, now)[contract_id]
    verdict = evaluate(facts, policy, now)
    due = [step for step in verdict.steps if cause == SWEEP or step.step == "sent"]
    if due:
        facts = _with_steps(facts, [(step, _make(session, clock, facts, policy, step)) for step in due])
        verdict = evaluate(facts, policy, now)
    supply = _give_back(session, clock, contract_id, verdict)
    keep_decision(session, clock=clock, facts=facts, verdict=verdict, supply=supply, cause=cause)
    return verdict


def facts_of(
    session: Session,
    contract_ids: Collection[int],
    policy: DunningPolicy,
    now: datetime,
    *,
    calendar_of: Callable[[str], Calendar] | None = None,
) -> dict[int, DunningFacts]:
    """What dunning knows of these contracts, supply and calendar included: five statements.

    `calendar_of`: of the same policy and day, where somebody asks for one group of contracts after another.
    """
    found = queries.facts_of(session, contract_ids, calendar_of or calendars(off_policy(policy), now))
    cut = _cut_already(session, contract_ids)
    return {i: replace(facts, supply_off=True) if i in cut else facts for i, facts in found.items()}


def off_policy(policy: DunningPolicy) -> OffPolicy:
    """The switching rules of a dunning policy's version. Its sums and its limits of holds are the dunning policy's."""
    read = OffPolicy.from_json(policy.off)
    limits = {kind: limit for kind, limit in policy.hold_limits.items() if kind != "*"}
    return replace(
        read,
        floor_minor=dict(policy.floor_minor),
        percent_of_invoice=policy.percent_of_invoice,
        hold_limits=limits,
    )


def calendars(policy: OffPolicy, now: datetime) -> Callable[[str], Calendar]:
    """zone → the permitted days from its today on, looked up once per zone."""
    known: dict[str, Calendar] = {}

    def calendar_of(zone: str) -> Calendar:
        if zone not in known:
            known[zone] = _calendar(policy, zone, now)
        return known[zone]

    return calendar_of


def off_still_due(session: Session, *, clock: Clock, contract_id: int) -> bool:
    """The books, read again: whether off is due on this contract. The caller holds its row."""
    now = clock.now()
    policy = queries.policy_on(session, now.date())
    facts = facts_of(session, (contract_id,), policy, now).get(contract_id)
    return facts is not None and evaluate(facts, policy, now).off_due


def keep_decision(
    session: Session,
    *,
    clock: Clock,
    facts: DunningFacts,
    verdict: DunningVerdict,
    supply: str,
    cause: str,
    held: Collection[dict[str, Any]] = (),
) -> bool:
    """Keep the answer with its facts when it, or its reasons, differ from the last one kept. True when it was kept.

    `held`: the reasons of `may_disconnect`, when it was asked.
    """
    reasons = [*(reason.as_json() for reason in verdict.why_not), *held]
    last = queries.last_decision(session, facts.contract_id)
    before = (last.off_due, last.supply, _essence(last.reasons)) if last else (False, "on", [])
    if before == (verdict.off_due, supply, _essence(reasons)):
        return False
    decision = {
        "contract_id": facts.contract_id,
        "at": clock.now(),
        "policy_version": verdict.policy_version,
        "cause": cause,
        "off_due": verdict.off_due,
        "supply": supply,
        "reasons": reasons,
        "facts": {**facts.as_json(), "now": clock.now().isoformat()},
    }
    session.flush()
    session.connection().execute(_DECISION, decision)
    return True


def _essence(reasons: Collection[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """What makes two lists of reasons the same: dates and hours in them move every day."""

    def essence(reason: dict[str, Any]) -> tuple[str, str, str]:
        code = str(reason.get("code"))
        # Which step comes next is no other answer; the reminders themselves tell that.
        detail = "" if code == "not_due_yet" else str(reason.get("detail", ""))
        return code, str(reason.get("invoice_id", "")), detail

    return sorted(essence(reason) for reason in reasons)


def _calendar(policy: OffPolicy, zone: str, now: datetime) -> Calendar:
    """The permitted days whose hours are not over yet, and begin within the days looked ahead."""
    here, end = ZoneInfo(zone), now + timedelta(days=_DAYS_AHEAD)
    days = _permitted(policy.days, policy.eve_of_holiday, policy.extra_holidays, local_date(now, zone))
    if days and days[0] == local_date(now, zone):
        closes = datetime.combine(days[0], time(), here) + timedelta(hours=policy.until_hour)
        days = days if closes > now else days[1:]
    while days and datetime.combine(days[-1], time(policy.from_hour), here) >= end:
        days = days[:-1]
    return Calendar(days, policy.from_hour, policy.until_hour)


@lru_cache(maxsize=64)
def _permitted(week: tuple[int, ...], eves: bool, extra: tuple[date, ...], first: date) -> tuple[date, ...]:
    """The days from `first` on that a policy permits: the same for everybody all day long."""
    policy = OffPolicy(days=week, eve_of_holiday=eves, extra_holidays=extra)
    ahead = (first + timedelta(days=n) for n in range(_DAYS_AHEAD + 2))
    return tuple(day for day in ahead if window_on(policy, day, "UTC") is not None)


def _cut_already(session: Session, contract_ids: Collection[int]) -> set[int]:
    """Those whose supply is wanted off, and either is off by the meter's word or has a command or a crew on its way."""
    return set(session.connection().execute(_CUT_ALREADY, {"ids": list(contract_ids)}).scalars())


def _give_back(session: Session, clock: Clock, contract_id: int, verdict: DunningVerdict) -> str:
    """Want supply on when no off is due any more and it was cut for that. Returns what is wanted now."""
    desired = session.scalar(_DESIRED, {"contract_id": contract_id})
    if desired is None or desired.supply == "on":
        return "on"
    # Cut for another reason (a fault, the customer's own wish): money does not bring it back.
    if verdict.off_due or desired.reason != NONPAYMENT:
        return "off"
    now = clock.now()
    want_supply(
        session,
        clock=clock,
        meter_id=desired.meter_id,
        supply="on",
        reason="paid",
        contract_id=contract_id,
        not_before=now,
        not_after=now + ON_LIFE,
        set_by="settlement",
    )
    return "on"


def _with_steps(facts: DunningFacts, made: Sequence[tuple[StepDue, ReminderRow]]) -> DunningFacts:
    """The facts after these steps, without asking the database again."""
    by_invoice = {
        step.invoice_id: MadeStep(
            step.step, row.created_at, row.leaves_at, by_crew=row.notice_id is None, cut_on=row.cut_on
        )
        for step, row in made
    }
    return replace(
        facts,
        invoices=tuple(
            replace(i, steps=(*i.steps, by_invoice[i.invoice_id])) if i.invoice_id in by_invoice else i
            for i in facts.invoices
        ),
    )


def _make(session: Session, clock: Clock, facts: DunningFacts, policy: DunningPolicy, step: StepDue) -> ReminderRow:
    """Write one step down and have it said. It happens once: the facts were read under the lock, and the table has it
    unique on invoice, cycle and step."""
    row = ReminderRow(
        invoice_id=step.invoice_id,
        cycle=step.cycle,
        step=step.step,
        policy_version=policy.version,
        created_at=clock.now(),
        cut_on=step.cut_on,
    )
    contract = session.get_one(ContractRow, facts.contract_id)
    told = [person for person in effects.holders(session, contract, clock=clock) if person.fresh]
    key, blanks = f"dunning:{step.invoice_id}:{step.cycle}:{step.step}", _blanks(session, contract, step)
    # Besides, where there is an address. It proves nothing: no mail server says that somebody has read it.
    email_customer(
        session,
        contract,
        clock=clock,
        kind=_kind(step),
        key=key,
        blanks=blanks,
        zone=facts.zone,
        paper=str(step.invoice_id),
        invoice_id=step.invoice_id,
    )
    if step.channel == "crew" or not told:
        _ask_crew(session, clock, contract, row, _write_step(session, row))
        return row
    notice = stage_notice(
        session,
        clock=clock,
        kind=_kind(step),
        key=key,
        recipient=told[0].phone,
        language=told[0].language,
        blanks=blanks,
        zone=facts.zone,
        customer_id=told[0].customer_id,
        contract_id=contract.id,
        invoice_id=step.invoice_id,
    )
    if notice is not None:
        row.notice_id, row.leaves_at = notice.id, notice.leaves_at
    _write_step(session, row)
    return row


def _write_step(session: Session, row: ReminderRow) -> int:
    """Past the unit of work; the id. Raises IntegrityError for a step that was made before."""
    names = ("invoice_id", "cycle", "step", "policy_version", "created_at", "notice_id", "leaves_at", "cut_on")
    made = session.connection().execute(_STEP, {name: getattr(row, name) for name in names}).inserted_primary_key
    assert made is not None
    return int(made[0])


def _kind(step: StepDue) -> str:
    if step.base != "sent":
        return _KINDS[step.base]
    # An invoice that a reversal opened again is not new to anybody: it is reminded of.
    return "invoice.sent" if step.cycle == 1 else "dunning.reminder"


def _blanks(session: Session, contract: ContractRow, step: StepDue) -> dict[str, str]:
    invoice = session.get_one(InvoiceRow, step.invoice_id)
    balance = invoice.total_minor - invoice.paid_minor
    if step.base in ("warning", "announcement"):
        # What keeps the light on is the whole of what is overdue, not one bill of it.
        balance = session.scalar(
            select(func.sum(InvoiceRow.total_minor - InvoiceRow.paid_minor)).where(
                InvoiceRow.contract_id == contract.id, queries.IS_OPEN, InvoiceRow.sent_on <= invoice.sent_on
            )
        ) or balance  # fmt: skip
    year, _, month = invoice.period.partition("-")
    blanks = {
        "account": grouped(contract.account_number),
        "amount": Money(int(balance), invoice.currency).text,
        "period": f"{month}/{year}" if month else invoice.period,
    }
    if step.cut_on is not None:
        blanks["cut_date"] = day_text(step.cut_on)
    return blanks


def _ask_crew(session: Session, clock: Clock, contract: ContractRow, row: ReminderRow, reminder_id: int) -> None:
    if contract.meter_id is None:
        return
    named = f" It names the day {row.cut_on:%d/%m/%Y}." if row.cut_on else ""
    open_task(
        session,
        clock=clock,
        kind="notice",
        key=f"reminder:{reminder_id}",
        meter_id=contract.meter_id,
        contract_id=contract.id,
        detail=f"Hand over the {row.step.partition('.')[0]} notice of invoice {row.invoice_id}.{named}",
    )
