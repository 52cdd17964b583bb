"""The callers whose promises and reports are longest: the greatest sums, every answer of the services."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from channels.ussd.menu.engine import Context
from core.customers.model import CaseView, ContractView, OpenInvoice, PromiseView, Snapshot
from core.kernel.clock import EAST
from core.kernel.digits import with_check
from core.kernel.money import Money

_NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
_PHONE = "+243815550001"
_MOST = Money(12_345_678_900, "CDF")
_BILLS = 9
_ALL = Money(_BILLS * _MOST.minor, "CDF")
_NUMBER = with_check("888888")
_DAYS = (date(2026, 11, 27), date(2026, 12, 1), date(2026, 12, 8))
_UNTIL = "2026-12-24"


def _owing(n: int, bills: int) -> ContractView:
    open_bills = tuple(
        OpenInvoice(n * 100 + i, f"F-{i}", f"2026-{i + 1:02d}", _MOST, date(2026, 11, 9), date(2026, 11, 9))
        for i in range(bills)
    )
    return ContractView(
        id=n,
        account_number=with_check(f"{888_888_880 + n:09d}"),
        name="Wembadio-Ngandu Tshilombo wa Mulumba Marie-Antoinette",
        kind="monthly",
        currency="CDF",
        state="active",
        time_zone=EAST,
        own=True,
        supply="on",
        invoices=open_bills,
        promise_days=_DAYS if bills else (),
    )


_CASES = tuple(CaseView(_NUMBER, "outage", state, _NOW, 1) for state in ("open", "taken", "answered"))
_PARAMS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "promise": ({"c": 1},),
    "promise.confirm": ({"c": 1, "on": "2026-12-08", "minor": _ALL.minor},),
    "promise.done": (
        {"c": 1, "did": {"on": "2026-12-08", "minor": _ALL.minor, "currency": "CDF"}},
        *(
            {"c": 1, "did": {"refused": why, "until": _UNTIL}}
            for why in (
                "nothing_due", "supply_off", "broken_lately", "already_open", "too_often", "not_yours",
                "day_not_offered",
            )
        ),
    ),
    "report": ({"c": 1}, {}),
    "report.invoice": ({"kind": "dispute", "c": 1},),
    "report.confirm": (
        *({"kind": kind, **about} for kind in ("outage", "dispute", "complaint", "other") for about in ({}, {"c": 1})),
        {"kind": "dispute", "c": 1, "invoice": 100},
    ),
    "report.done": tuple(
        {"did": {"number": _NUMBER, "joined": joined, "held_to": held}}
        for joined, held in ((False, None), (True, None), (False, _UNTIL))
    ),
}  # fmt: skip


def _callers() -> Iterator[Snapshot]:
    # Of callers who see the same screen the first one answers it: the one with most bills.
    for bills in (_BILLS, 1, 0):
        yield Snapshot(_PHONE, _NOW, "fr", True, contracts=(_owing(1, bills),))
    owing = _owing(1, _BILLS)
    for case in _CASES:
        yield Snapshot(_PHONE, _NOW, "fr", True, contracts=(owing,), cases=(case,))
    yield Snapshot(_PHONE, _NOW, "fr", True, contracts=(replace(owing, supply="off"),))
    yield Snapshot(_PHONE, _NOW, "fr", True, contracts=(replace(owing, promise_days=()),))
    promised = replace(owing, promise=PromiseView("open", _DAYS[-1], _ALL))
    yield Snapshot(_PHONE, _NOW, "fr", True, contracts=(promised,))
    yield Snapshot(_PHONE, _NOW)
    yield Snapshot(_PHONE, _NOW, cases=(replace(_CASES[0], contract_id=None),))


def report_contexts(key: str, service_code: str) -> Iterator[Context]:
    """Each context in which a state of a promise or a report may be shown."""
    for caller in _callers():
        for params in _PARAMS[key]:
            # Home names an account where there is one; who has none names none.
            if "did" in params or bool(caller.contracts) == ("c" in params):
                yield Context(caller, service_code, params)
