"""Months of sales, sales taken back, bonuses and deductions: what the ledger pays an agent is what a clerk with paper
would have paid."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest

from core.kernel.money import Money
from core.payroll.errors import PayrollRefused
from core.payroll.model import Payee
from tests.core.payroll.payday import Payday, francs

MONTHS = [f"2026-{month:02d}" for month in range(1, 6)]


class Clerk:
    """Remembers each commission with its moment, and what was paid: nothing else."""

    def __init__(self) -> None:
        self.earned: dict[int, list[tuple[datetime, int]]] = defaultdict(list)
        self.paid: dict[int, int] = defaultdict(int)

    def owed(self, agent_id: int, until: datetime) -> int:
        before = sum(minor for at, minor in self.earned[agent_id] if at < until) - self.paid[agent_id]
        now = sum(minor for _, minor in self.earned[agent_id]) - self.paid[agent_id]
        return min(before, now)


def lived(payday: Payday, clerk: Clerk, chance: random.Random, agents: list[int], until: datetime) -> None:
    """Sales and sales taken back up to a moment, at moments of their own."""
    sales = getattr(clerk, "sales", [])
    while payday.clock.now() < until:
        agent_id = chance.choice(agents)
        if sales and chance.random() < 0.35:
            payment, whose, minor = sales.pop(chance.randrange(len(sales)))
            payday.taken_back(payment)
            clerk.earned[whose].append((payday.clock.now(), -minor))
        else:
            minor = chance.randrange(1, 40_000)
            sales.append((payday.sale(agent_id, units=500, commission=Money(minor, "CDF")), agent_id, minor))
            clerk.earned[agent_id].append((payday.clock.now(), minor))
        payday.clock.advance(hours=chance.randrange(60, 240))
    clerk.sales = sales  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", range(2))
def test_agents_get_what_a_clerk_would_have_paid(payday: Payday, seed: int) -> None:
    chance, clerk = random.Random(seed), Clerk()
    payday.clock.advance(seconds=(datetime(2026, 1, 3, tzinfo=UTC) - payday.clock.now()).total_seconds())
    payday.employee(base=300_000)
    agents = [payday.agent() for _ in range(3)]
    runs = payday.payroll.runs
    for period in MONTHS:
        year, month = (int(part) for part in period.split("-"))
        begins = datetime(year, month, 1, tzinfo=UTC)
        # Some months are run before they end, some long after.
        lived(payday, clerk, chance, agents, begins + timedelta(days=chance.choice([20, 33, 40])))
        if chance.random() < 0.5:
            payee = Payee("agent", chance.choice(agents))
            kind = chance.choice(["bonus", "deduction"])
            amount = francs(chance.randrange(1, 900))
            payday.payroll.people.add_item(payee, kind, "x", amount, from_period=period, by="rita")  # type: ignore[arg-type]
        run_id = payday.opened(period)
        lived(payday, clerk, chance, agents, payday.clock.now() + timedelta(days=chance.choice([0, 6])))
        payday.reviewed(run_id)
        try:
            runs.close(run_id, payday.version(run_id), by="paul")
        except PayrollRefused:
            # Something was taken back meanwhile.
            runs.compute(run_id, by="rita")
            runs.looked(run_id, payday.version(run_id), by="paul")
            runs.close(run_id, payday.version(run_id), by="paul")
        runs.finish(run_id)
        until = runs.one(run_id).commission_until
        for agent_id in agents:
            owed = clerk.owed(agent_id, until)
            slips = [slip for slip in runs.slips(run_id) if slip.payee == Payee("agent", agent_id)]
            lines = runs.lines([slip.id for slip in slips]).get(slips[0].id, []) if slips else []
            paid = sum(line.amount_minor for line in lines if line.kind == "commission")
            back = sum(line.amount_minor for line in lines if line.kind == "commission_back")
            assert paid == max(0, owed) // 100 * 100, (period, agent_id)
            assert back <= max(0, -owed)
            assert all(slip.net.minor >= 0 for slip in slips)
            clerk.paid[agent_id] += paid - back
            ours = sum(minor for _, minor in clerk.earned[agent_id]) - clerk.paid[agent_id]
            assert payday.commission(agent_id).minor == ours
        payday.books.check()
