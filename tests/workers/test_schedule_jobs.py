"""Scheduled runs by name: each plan has its work, a busy database is waited for, nonsense is a person's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from core.kernel.clock import EAST, WEST
from core.kernel.errors import NotRecorded
from core.outbox import Dead, Done, Leased, Retry
from core.reconciliation.model import Imported
from core.services.agents import Agents
from core.services.billing import Billing, CutBatch, Swept
from core.services.prepaid_use import PrepaidUse, UseRun
from core.services.promises import Morning, Promises
from core.services.reconciliation import Reconciliation
from core.services.supply import Reconciled, Supply
from workers.jobs.schedule import runs
from workers.schedule import PLANS


class FakeBilling:
    def __init__(self) -> None:
        self.zones: list[str] = []
        self.busy = False

    def sweep(self) -> Swept:
        if self.busy:
            raise NotRecorded("the database is busy")
        return Swept(looked_at=4, steps=2)

    def cut_batch(self, zone: str) -> CutBatch:
        self.zones.append(zone)
        return CutBatch(cut=(1, 2), held=((3, ("hours",)),))


class FakeSupply:
    def reconcile(self) -> Reconciled:
        return Reconciled(expired=1)


class FakeAgents:
    def expire_hand_overs(self) -> int:
        return 2


class FakePromises:
    def morning(self) -> Morning:
        return Morning(reminded=3, broken=1)


class FakeUse:
    def run(self) -> UseRun:
        return UseRun(looked_at=3, charged=2, told=1)


class FakeReports:
    def match_all(self) -> int:
        return 7

    def fetch_yesterday(self) -> dict[str, Imported]:
        return {"pawapay": Imported(1, new=12, known=3, bad=0)}


def row(name: str, **body: Any) -> Leased:
    return Leased(1, "schedule.run", "bulk", "t", {"name": name, **body}, 1, datetime(2026, 3, 10, tzinfo=UTC))


@pytest.fixture
def billing() -> FakeBilling:
    return FakeBilling()


def work(billing: FakeBilling) -> dict[str, Any]:
    supply, reports = cast("Supply", FakeSupply()), cast("Reconciliation", FakeReports())
    agents = cast("Agents", FakeAgents())
    promises, use = cast("Promises", FakePromises()), cast("PrepaidUse", FakeUse())
    return dict(
        runs(
            cast("Billing", billing),
            supply,
            reports,
            agents,
            promises,
            lambda: "balances agree",
            lambda: 5,
            use,
            lambda: 0,
        )
    )


def test_every_plan_has_its_work(billing: FakeBilling) -> None:
    assert {plan.name for plan in PLANS} <= set(work(billing))


def test_each_run_says_what_it_did(billing: FakeBilling) -> None:
    named = work(billing)
    swept = "looked at 4, steps 2, given back 0; promises reminded 3, broken 1, kept 0"
    assert named["dunning.sweep"](row("dunning.sweep")) == Done(swept)
    assert named["supply.reconcile"](row("supply.reconcile")) == Done("expired 1, sent again 0, tickets 0")
    assert named["ledger.check"](row("ledger.check")) == Done("balances agree")
    assert named["reconcile.fetch"](row("reconcile.fetch")) == Done("pawapay 12 new")
    assert named["agents.hand_overs"](row("agents.hand_overs")) == Done("2 expired; 5 deeds of turns forgotten")
    used = "looked at 3, charged 2, corrected 0, told 1, cut 0, held 0, no price 0"
    assert named["prepaid.use"](row("prepaid.use")) == Done(used)
    assert named["reconcile.match"](row("reconcile.match")) == Done("7 settled")
    for zone in (WEST, EAST):
        assert named["supply.cut"](row("supply.cut", zone=zone)) == Done("cut 2, held 1")
    assert billing.zones == [WEST, EAST]


def test_a_batch_without_a_zone_is_for_a_person(billing: FakeBilling) -> None:
    assert isinstance(work(billing)["supply.cut"](row("supply.cut")), Dead)
    assert billing.zones == []


def test_a_busy_database_is_waited_for(billing: FakeBilling) -> None:
    billing.busy = True
    assert isinstance(work(billing)["dunning.sweep"](row("dunning.sweep")), Retry)
