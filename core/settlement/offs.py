"""The change from on to off: what the guards are told, and what they and the books say together.

Everything is read inside the caller's transaction, under the contract's lock.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import exists, func, select, update
from sqlalchemy.orm import Session

from core.billing import queries
from core.billing.dunning import evaluate
from core.billing.model import DunningFacts, DunningVerdict, Hold
from core.billing.policy import DunningPolicy
from core.billing.tables import HoldRow
from core.customers.tables import ContractRow, MeterRow, SiteRow
from core.kernel.clock import Clock, local_time
from core.payments.tables import AttemptRow
from core.readings.queries import jumped
from core.settlement.dunning import facts_of, off_policy
from core.supply.rules import HoldReason, OffFacts, may_disconnect
from core.supply.tables import MeterReportedRow, RelayCommandRow

PENDING = "pending_payment"
# Money on its way is waited for this long; how often on one invoice stands in the policy.
PENDING_LIFE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class OffAnswer:
    """What books and guards say about one contract now. `held` is empty where the books alone say no."""

    facts: DunningFacts
    policy: DunningPolicy
    verdict: DunningVerdict
    held: tuple[HoldReason, ...] = ()

    @property
    def may_cut(self) -> bool:
        return self.verdict.cut_now and not self.held


def ask(session: Session, *, clock: Clock, contract_id: int) -> OffAnswer:
    """Evaluate dunning and ask `may_disconnect`, with the facts of this moment. The caller holds the contract's row.

    Money on its way becomes a hold first, so that its number and age are counted.
    """
    note_pending(session, clock=clock, contract_id=contract_id)
    return answer(session, contract_id=contract_id, now=clock.now(), real=clock.real_now())


def answer(session: Session, *, contract_id: int, now: datetime, real: datetime) -> OffAnswer:
    """The same without writing anything: also for a moment that has not come (a dry run)."""
    policy = queries.policy_on(session, now.date())
    facts = facts_of(session, (contract_id,), policy, now)[contract_id]
    verdict = evaluate(facts, policy, now)
    if not verdict.cut_now:
        return OffAnswer(facts, policy, verdict)
    seen = _off_facts(session, facts, verdict, now, real)
    held = may_disconnect(seen, off_policy(policy), local_time(now, facts.zone))
    return OffAnswer(facts, policy, verdict, tuple(held))


def off_holds(session: Session, *, clock: Clock, contract_id: int) -> list[HoldReason]:
    """Asked again by whoever publishes the command (`core.supply.ports.OffHolds`). Empty: it may leave.

    The command itself already counts as supply that is off; here the question is whether it should become so.
    """
    note_pending(session, clock=clock, contract_id=contract_id)
    now = clock.now()
    policy = queries.policy_on(session, now.date())
    facts = replace(facts_of(session, (contract_id,), policy, now)[contract_id], supply_off=False)
    verdict = evaluate(facts, policy, now)
    if not verdict.cut_now:
        return [HoldReason(why.code, {"invoice_id": why.invoice_id, "detail": why.detail}) for why in verdict.why_not]
    seen = _off_facts(session, facts, verdict, now, clock.real_now())
    return may_disconnect(seen, off_policy(policy), local_time(now, facts.zone))


def note_pending(session: Session, *, clock: Clock, contract_id: int) -> None:
    """Write a hold for each open attempt on the contract, once; end the holds of attempts that have ended.

    Attempts carry real time and holds business time: the age is what is kept.
    """
    now, real = clock.now(), clock.real_now()
    attempts = session.execute(
        select(AttemptRow.id, AttemptRow.created_at, AttemptRow.is_open).where(
            AttemptRow.contract_id == contract_id, AttemptRow.created_at > real - PENDING_LIFE
        )
    ).all()
    known = set(session.scalars(select(HoldRow.by).where(HoldRow.contract_id == contract_id, HoldRow.kind == PENDING)))
    for attempt_id, created_at, is_open in attempts:
        by = f"attempt:{attempt_id}"
        if is_open and by not in known:
            began = now - (real - created_at)
            session.add(
                HoldRow(
                    contract_id=contract_id,
                    kind=PENDING,
                    from_at=began,
                    until_at=began + PENDING_LIFE,
                    by=by,
                    reason="A payment is on its way.",
                )
            )
        elif not is_open and by in known:
            session.execute(
                update(HoldRow)
                .where(HoldRow.contract_id == contract_id, HoldRow.by == by, HoldRow.until_at > now)
                .values(until_at=now)
            )
    session.flush()


def pending_holds(
    session: Session, contract_ids: Collection[int], *, now: datetime, real: datetime
) -> dict[int, list[Hold]]:
    """The holds that `note_pending` would write now, contract by contract, without writing them."""
    known = exists().where(HoldRow.contract_id == AttemptRow.contract_id, HoldRow.by == "attempt:" + AttemptRow.id)
    rows = session.execute(
        select(AttemptRow.contract_id, AttemptRow.created_at).where(
            AttemptRow.contract_id.in_(contract_ids),
            AttemptRow.is_open,
            AttemptRow.created_at > real - PENDING_LIFE,
            ~known,
        )
    )
    found: dict[int, list[Hold]] = {}
    for contract_id, created_at in rows:
        if contract_id is not None:
            began = now - (real - created_at)
            found.setdefault(contract_id, []).append(Hold(PENDING, began, began + PENDING_LIFE))
    return found


def _off_facts(
    session: Session, facts: DunningFacts, verdict: DunningVerdict, now: datetime, real: datetime
) -> OffFacts:
    seen = site_facts(session, contract_id=facts.contract_id, overdue_minor=verdict.overdue_minor, now=now, real=real)
    return replace(seen, invoiced_minor=verdict.overdue_total_minor)


def site_facts(session: Session, *, contract_id: int, overdue_minor: int, now: datetime, real: datetime) -> OffFacts:
    """What the guards are told about a contract's place and meter; its holds are left to the caller."""
    row = session.execute(
        select(
            MeterRow.id,
            MeterRow.control_kind,
            ContractRow.kind,
            ContractRow.currency,
            SiteRow.agency_id,
            SiteRow.protected,
            SiteRow.time_zone,
            MeterReportedRow.at,
        )
        .select_from(ContractRow)
        .join(SiteRow, SiteRow.id == ContractRow.site_id)
        .join(MeterRow, MeterRow.id == ContractRow.meter_id)
        .outerjoin(MeterReportedRow, MeterReportedRow.meter_id == MeterRow.id)
        .where(ContractRow.id == contract_id)
    ).one()
    meter_id, control_kind, kind, currency, agency_id, protected, zone, heard_at = row
    midnight = local_time(now, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return OffFacts(
        currency=currency,
        overdue_minor=overdue_minor,
        invoiced_minor=0,
        protected=protected,
        has_radio=control_kind == "mqtt_relay",
        report_age_h=None if heard_at is None else max(0, int((real - heard_at).total_seconds() // 3600)),
        offs_last_hour=_offs_since(session, agency_id, meter_id, now - timedelta(hours=1)),
        offs_today=_offs_since(session, agency_id, meter_id, midnight),
        # What is billed or used up by its readings is not cut while one of them waits for a person.
        reading_jump=kind in ("consumption", "prepaid") and jumped(session, meter_id),
    )


def _offs_since(session: Session, agency_id: int, but: str, since: datetime) -> int:
    """How many other meters of the area were told to switch off since then."""
    found = session.scalar(
        select(func.count())
        .select_from(RelayCommandRow)
        .join(MeterRow, MeterRow.id == RelayCommandRow.meter_id)
        .join(SiteRow, SiteRow.id == MeterRow.site_id)
        .where(
            SiteRow.agency_id == agency_id,
            RelayCommandRow.supply == "off",
            RelayCommandRow.created_at >= since,
            RelayCommandRow.meter_id != but,
        )
    )
    return int(found or 0)
