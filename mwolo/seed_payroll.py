"""The town's payroll: a few employees, last month's run closed and paid, this month's waiting for its second person.

The runs come about as in production: one opens, another looks and closes; only the outbox is spared the errand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import update
from sqlalchemy.orm import Session

from core.db import Database
from core.kernel.clock import WEST, Clock, local_date
from core.kernel.money import Money
from core.outbox import OutboxRow
from core.payroll.model import EmployeeFacts, Payee
from core.services.payroll import Payroll

# The two who ran the past; nobody logs in as these.
OPENS, CLOSES = "rh-1", "finance-1"


@dataclass(frozen=True, slots=True)
class Hired:
    """`units`: base pay in francs. `email`: '' for nobody's."""

    name: str
    job: str
    city: str
    units: int
    language: str
    pay_to: str
    email: str = ""
    dependants: int = 0


STAFF = (
    Hired("Kabongo Tshibangu", "Chef d'agence", "KIN", 1_850_000, "fr", "Rawbank ***4410", "kabongo@exemple.cd", 4),
    Hired("Nsimba Luzolo", "Caissière", "KIN", 620_000, "ln", "M-Pesa 081***9002", "nsimba@exemple.cd", 2),
    Hired("Mbombo Kalonji", "Releveur", "MJM", 410_000, "lua", "Airtel Money 097***9003", "", 3),
    Hired("Mwamba Ilunga", "Technicien réseau", "LUB", 780_000, "sw", "Equity BCDC ***0192", "mwamba@exemple.cd", 5),
    Hired("Makiese Ndombe", "Releveuse", "MAT", 410_000, "kg", "Orange Money 084***9005"),
    Hired("Grace Furaha", "Accountant", "GOM", 1_200_000, "en", "TMB ***7731", "grace@exemple.cd", 1),
)


def payroll_acts(
    db: Database, then: Clock, agencies: dict[str, int], end: datetime
) -> list[tuple[datetime, Callable[[], None]]]:
    """(when, what) of the town's last two runs. Each may be done again: what was done before is left as it is."""
    payroll = Payroll(db, then, _nothing_to_audit)
    month = local_date(end - timedelta(hours=2), WEST).replace(day=1)
    closed_at = min(datetime.combine(month, time(9, 30), ZoneInfo(WEST)), end - timedelta(hours=2))
    before = (month - timedelta(days=1)).replace(day=1)
    return [
        (closed_at, lambda: _last_month(db, payroll, then, agencies, before)),
        (end - timedelta(hours=1), lambda: _this_month(payroll, f"{month:%Y-%m}")),
    ]


def _last_month(db: Database, payroll: Payroll, then: Clock, agencies: dict[str, int], month: date) -> None:
    period = f"{month:%Y-%m}"
    payroll.rates.write_first(OPENS)
    known = {one.facts.name: one.id for one in payroll.people.all()}
    for place, hired in enumerate(STAFF):
        if hired.name not in known:
            known[hired.name] = _hire(payroll, hired, place, agencies)
        _lines(payroll, Payee("employee", known[hired.name]), hired, period)
    run_id = _opened(payroll, period)
    runs = payroll.runs
    if runs.one(run_id).state == "open":
        runs.hand_on(run_id, by=OPENS)
    if runs.one(run_id).state == "review":
        version = runs.one(run_id).version
        runs.looked(run_id, version, by=CLOSES)
        runs.close(run_id, version, by=CLOSES)
    runs.finish(run_id)
    runs.mark_paid(run_id, f"VIR {month:%m}-118", by=CLOSES)
    with db.begin() as session:
        session.execute(
            update(OutboxRow)
            .where(OutboxRow.key == f"payroll:{run_id}")
            .values(state="done", done_at=then.real_now(), last_error="seeded")
        )


def _this_month(payroll: Payroll, period: str) -> None:
    run_id = _opened(payroll, period)
    if payroll.runs.one(run_id).state == "open":
        payroll.runs.hand_on(run_id, by=OPENS)


def _opened(payroll: Payroll, period: str) -> int:
    for run in payroll.runs.all():
        if run.period == period and run.currency == "CDF" and run.state != "cancelled":
            return run.id
    return payroll.runs.open(period, "CDF", by=OPENS)


def _hire(payroll: Payroll, hired: Hired, place: int, agencies: dict[str, int]) -> int:
    facts = EmployeeFacts(
        name=hired.name,
        job=hired.job,
        agency_id=agencies[hired.city],
        base=Money.units(hired.units, "CDF"),
        starts_on=date(2022, 1 + place, 1),
        phone=f"+24381000900{place + 1}",
        email=hired.email,
        language=hired.language,
        pay_to=hired.pay_to,
        dependants=hired.dependants,
    )
    return payroll.people.add(facts, by=OPENS).id


def _lines(payroll: Payroll, payee: Payee, hired: Hired, period: str) -> None:
    """Transport for everybody; an advance that one of them gives back."""
    if payroll.people.items(payee):
        return
    transport = Money.units(45_000, "CDF")
    payroll.people.add_item(
        payee, "bonus", "Indemnité de transport", transport, from_period=period, by=OPENS, once=False
    )
    if hired.job == "Caissière":
        advance = Money.units(60_000, "CDF")
        payroll.people.add_item(payee, "deduction", "Avance sur salaire", advance, from_period=period, by=OPENS)


def _nothing_to_audit(session: Session, actor: str, act: str, subject: str, detail: str = "") -> None:
    """The past of a town is no act of anybody."""
