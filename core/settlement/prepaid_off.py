"""Off for want of prepaid credit: when it is due, and what is asked before the change from on to off.

The same guards as for unpaid bills stand here too (hours, holidays, protected places, silent meters, doubtful readings,
holds, rates, the brake): one policy says for both when anybody may be cut. Only the question of the debt is another:
the credit must be used up, and the small emergency amount with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.billing import queries as billing
from core.billing.tables import HoldRow
from core.customers.tables import ContractRow, SiteRow
from core.kernel.clock import Clock, local_time
from core.ledger import queries as ledger
from core.ledger.model import credit
from core.settlement import offs
from core.settlement.dunning import off_policy, off_still_due
from core.settlement.prepaid import NO_CREDIT
from core.supply.rules import ActiveHold, HoldReason, OffFacts, may_disconnect
from core.supply.tables import MeterDesiredRow

# A hold of one kind counts so often within this time: nobody is lit for ever by one unfinished payment a day.
_HOLDS_COUNTED = timedelta(days=7)


class PrepaidOff:
    """What the bridge asks before an off leaves: of prepaid credit here, of unpaid bills `offs` and `dunning`.

    `emergency`: currency → how far below zero a credit may go, in minor units.
    """

    def __init__(self, emergency: Mapping[str, int]) -> None:
        self._emergency = emergency

    def still_due(self, session: Session, *, clock: Clock, contract_id: int) -> bool:
        """`core.supply.ports.OffStillDue`: the books, read again. The caller holds the contract's row."""
        if not _for_credit(session, contract_id):
            return off_still_due(session, clock=clock, contract_id=contract_id)
        contract = session.get_one(ContractRow, contract_id, populate_existing=True)
        return contract.kind == "prepaid" and self.used_up(session, contract)

    def holds(self, session: Session, *, clock: Clock, contract_id: int) -> list[HoldReason]:
        """`core.supply.ports.OffHolds`: the guards, with the facts of this moment."""
        if not _for_credit(session, contract_id):
            return offs.off_holds(session, clock=clock, contract_id=contract_id)
        return self.guards(session, clock=clock, contract_id=contract_id)

    def used_up(self, session: Session, contract: ContractRow) -> bool:
        """Whether the credit is gone, and the emergency amount with it."""
        held = ledger.balance(session, credit(contract.id), contract.currency).minor
        return held <= -self._emergency.get(contract.currency, 0)

    def guards(self, session: Session, *, clock: Clock, contract_id: int) -> list[HoldReason]:
        """Every reason why supply may not be switched off for want of credit now. Writes holds for money on its way."""
        offs.note_pending(session, clock=clock, contract_id=contract_id)
        now = clock.now()
        dunning = billing.policy_on(session, now.date())
        # The debt has been asked for already; what is left are the rules of when and whom.
        policy = replace(off_policy(dunning), percent_of_invoice=0, floor_minor=dict.fromkeys(dunning.floor_minor, 0))
        facts = _facts(session, clock, contract_id)
        zone = session.scalars(
            select(SiteRow.time_zone)
            .join(ContractRow, ContractRow.site_id == SiteRow.id)
            .where(ContractRow.id == contract_id)
        ).one()
        return may_disconnect(facts, policy, local_time(now, zone))


def _facts(session: Session, clock: Clock, contract_id: int) -> OffFacts:
    contract = session.get_one(ContractRow, contract_id)
    held = ledger.balance(session, credit(contract_id), contract.currency).minor
    seen = offs.site_facts(
        session, contract_id=contract_id, overdue_minor=max(1, -held), now=clock.now(), real=clock.real_now()
    )
    return replace(seen, holds=_holds(session, contract_id, clock.now()))


def _holds(session: Session, contract_id: int, now: datetime) -> tuple[ActiveHold, ...]:
    """Holds on the contract, counted by kind. A promise is about bills: it holds nothing here."""
    rows = session.scalars(
        select(HoldRow)
        .where(HoldRow.contract_id == contract_id, HoldRow.kind != "promise", HoldRow.invoice_id.is_(None))
        .where((HoldRow.until_at > now) | (HoldRow.from_at > now - _HOLDS_COUNTED))
        .order_by(HoldRow.from_at, HoldRow.id)
    )
    counted: Counter[str] = Counter()
    found = []
    for row in rows:
        counted[row.kind] += 1
        found.append(ActiveHold(row.kind, row.from_at, row.until_at, counted[row.kind]))
    return tuple(found)


def _for_credit(session: Session, contract_id: int) -> bool:
    """Whether what is wanted of this contract's meter is an off for want of credit."""
    reason = session.scalar(
        select(MeterDesiredRow.reason)
        .join(ContractRow, ContractRow.meter_id == MeterDesiredRow.meter_id)
        .where(ContractRow.id == contract_id, MeterDesiredRow.supply == "off")
    )
    return reason == NO_CREDIT
