"""Ways to a promise and to a report, for the page of journeys and the map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from core.customers.model import CaseView, ContractView, OpenInvoice, PromiseView, Snapshot
from core.kernel.clock import WEST
from core.kernel.digits import with_check
from core.kernel.money import Money

_NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
_DUE = Money.units(28_500, "CDF")
_DAYS = (date(2026, 11, 27), date(2026, 12, 1))
_NUMBER = with_check("100417")
_MARIE = ContractView(
    id=1,
    account_number=with_check("100000001"),
    name="Marie Kabila",
    kind="monthly",
    currency="CDF",
    state="active",
    time_zone=WEST,
    own=True,
    credit=Money(0, "CDF"),
    supply="on",
    invoices=(OpenInvoice(1, "F-1", "2026-10", _DUE, date(2026, 11, 9), date(2026, 11, 9)),),
    cut_on=date(2026, 12, 7),
)
# Days after the cut: what may be promised.
_SOON = replace(_MARIE, cut_on=date(2026, 11, 26), promise_days=_DAYS)
_PROMISED = replace(_MARIE, cut_on=date(2026, 12, 2), promise=PromiseView("open", _DAYS[1], _DUE))
_CASE = CaseView(_NUMBER, "outage", "taken", _NOW - timedelta(hours=5), 1)


@dataclass(frozen=True, slots=True)
class ReportWalk:
    journey: str
    about: str
    caller: Snapshot
    replies: tuple[str, ...]
    dids: tuple[Mapping[str, Any], ...] = ()


def _caller(contract: ContractView, *cases: CaseView) -> Snapshot:
    return Snapshot("+243815550001", _NOW, "fr", True, "mpesa", (contract,), cases=cases)


def _opened(*, joined: bool = False, held_to: str | None = None) -> Mapping[str, Any]:
    return {"number": _NUMBER, "joined": joined, "held_to": held_to}


_PROMISE, _REPORT = "Promise to pay", "Report"
REPORT_WALKS: tuple[ReportWalk, ...] = (
    ReportWalk(_PROMISE, "How much, until when, yes.", _caller(_SOON), ("1", "3", "2", "1"),
               ({"on": "2026-12-01", "minor": _DUE.minor, "currency": "CDF"},)),
    ReportWalk(_PROMISE, "One stands already.", _caller(_PROMISED), ("1", "3")),
    ReportWalk(_PROMISE, "Nothing is cut for two weeks yet.", _caller(_MARIE), ("1", "3")),
    ReportWalk(_PROMISE, "The last one was not kept.", _caller(_SOON), ("1", "3", "1", "1"),
               ({"refused": "broken_lately", "until": "2026-12-19"},)),
    ReportWalk(_PROMISE, "Supply is off: it does not bring it back.", _caller(replace(_MARIE, supply="off")),
               ("1", "3")),
    ReportWalk(_REPORT, "No power.", _caller(_MARIE), ("5", "1", "1"), (_opened(),)),
    ReportWalk(_REPORT, "The same again within a day, with the case that is open above the choices.",
               _caller(_MARIE, _CASE), ("5", "1", "1"), (_opened(joined=True),)),
    ReportWalk(_REPORT, "The bill is wrong: no cut for it meanwhile.", _caller(_MARIE), ("5", "2", "1"),
               (_opened(held_to="2026-12-24"),)),
    ReportWalk(_REPORT, "From a number that no account knows.", Snapshot("+243815550001", _NOW), ("3", "1", "1"),
               (_opened(),)),
)  # fmt: skip
