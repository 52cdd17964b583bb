"""What a scheduled run does, by its name. `workers.schedule` opens the runs and writes down how they ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from core.kernel.clock import EAST, WEST
from core.kernel.errors import NotRecorded
from core.outbox import Dead, Done, Leased, Outcome, Retry
from core.services.agents import Agents
from core.services.billing import Billing
from core.services.prepaid_use import PrepaidUse
from core.services.promises import Promises
from core.services.reconciliation import Reconciliation
from core.services.supply import Supply

Run = Callable[[Leased], Outcome]
BUSY_AGAIN_S = 10.0


def runs(
    billing: Billing,
    supply: Supply,
    reconciliation: Reconciliation,
    agents: Agents,
    promises: Promises,
    ledger_check: Callable[[], str],
    forget_deeds: Callable[[], int],
    prepaid_use: PrepaidUse,
    end_papers: Callable[[], int],
) -> dict[str, Run]:
    """name → what it does. Add an entry here and a plan in `workers.schedule` for a new one.

    Each may run twice or late: the services look at the data as they are. `ledger_check` says in a sentence what it
    found; `forget_deeds` drops what turns had done long ago, and says how many; `end_papers` ends protections whose
    last day is over.
    """

    def sweep(_row: Leased) -> Outcome:
        # Papers and promises first: the sweep then knows which of them ended in the night.
        ended, morning = end_papers(), promises.morning()
        papers = f"; papers ended {ended}" if ended else ""
        return Done(f"{_said(asdict(billing.sweep()))}; promises {_said(asdict(morning))}{papers}")

    def cut(row: Leased) -> Outcome:
        zone = row.body.get("zone")
        if zone not in (WEST, EAST):
            return Dead(f"no zone {zone!r}")
        batch = billing.cut_batch(zone)
        return Done(f"cut {len(batch.cut)}, held {len(batch.held)}")

    def reconcile(_row: Leased) -> Outcome:
        return Done(_said(asdict(supply.reconcile())))

    def fetch(_row: Leased) -> Outcome:
        fetched = reconciliation.fetch_yesterday()
        return Done(", ".join(f"{wallet} {report.new} new" for wallet, report in fetched.items()) or "nothing to fetch")

    def match(_row: Leased) -> Outcome:
        return Done(f"{reconciliation.match_all()} settled")

    def expire(_row: Leased) -> Outcome:
        return Done(f"{agents.expire_hand_overs()} expired; {forget_deeds()} deeds of turns forgotten")

    def check(_row: Leased) -> Outcome:
        return Done(ledger_check())

    def use(_row: Leased) -> Outcome:
        return Done(_said(asdict(prepaid_use.run())))

    named: dict[str, Run] = {
        "dunning.sweep": sweep,
        "supply.cut": cut,
        "supply.reconcile": reconcile,
        "agents.hand_overs": expire,
        "reconcile.fetch": fetch,
        "reconcile.match": match,
        "ledger.check": check,
        "prepaid.use": use,
    }
    return {name: _patient(run) for name, run in named.items()}


def _patient(run: Run) -> Run:
    """A busy database is no failure of the run: what is done stays done, the rest is looked at again."""

    def again(row: Leased) -> Outcome:
        try:
            return run(row)
        except NotRecorded as error:
            return Retry(BUSY_AGAIN_S, str(error), counts=False)

    return again


def _said(figures: dict[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items())
