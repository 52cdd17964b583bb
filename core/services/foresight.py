"""The dry run: who is reminded, warned, told and cut on a day, and why the others are not. Nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.billing import queries
from core.billing.model import Calendar, DunningFacts, DunningVerdict, StepDue, WhyNot
from core.billing.policy import DunningPolicy
from core.customers.tables import AgencyRow, ContractRow, CustomerRow, SiteRow
from core.db import Database
from core.i18n import N_, day
from core.kernel.clock import WEST, Clock, local_date, local_time
from core.kernel.errors import CustomerError
from core.kernel.money import Money
from core.settlement import offs
from core.settlement.dunning import calendars, facts_of, off_policy
from core.settlement.foresight import DAYS_AHEAD, Foreseen, Rules, last_moment, walk
from core.supply.rules import HoldReason, OffFacts, OffPolicy, may_disconnect

_CHUNK = 200


class DayOutOfReach(CustomerError):
    """A dry run of a day that is over, or too far away. `text` says which, in the reader's language."""

    def __str__(self) -> str:
        return self.text.format(**self.blanks)


@dataclass(frozen=True, slots=True)
class Told:
    """One contract of a dry run. `owed`: all that is open on it."""

    contract_id: int
    account: str
    customer_id: int
    customer: str
    agency: str
    zone: str
    owed: Money
    seen: Foreseen

    @property
    def steps(self) -> tuple[StepDue, ...]:
        return self.seen.steps

    @property
    def would_cut(self) -> bool:
        """Supply goes off on the day asked about."""
        return self.seen.cut_on_the_day

    @property
    def off_before(self) -> bool:
        return self.seen.off_before

    @property
    def holds(self) -> tuple[WhyNot | HoldReason, ...]:
        return self.seen.holds

    @property
    def why_not(self) -> tuple[WhyNot, ...]:
        return () if self.would_cut else self.seen.verdict.why_not

    @property
    def held(self) -> tuple[HoldReason, ...]:
        return () if self.would_cut else self.seen.held

    @property
    def next_date(self) -> date | None:
        return self.seen.verdict.next_date_that_matters


@dataclass(slots=True)
class Tally:
    """How many contracts of each sort a dry run has seen so far. A contract may be in several."""

    looked: int = 0
    reminded: int = 0
    warned: int = 0
    announced: int = 0
    by_crew: int = 0
    cut: int = 0
    off_before: int = 0
    held: Counter[str] = field(default_factory=Counter)

    def add(self, one: Told) -> None:
        bases = {step.base for step in one.steps}
        self.looked += 1
        self.reminded += bool(bases & {"sent", "reminder"})
        self.warned += "warning" in bases
        self.announced += "announcement" in bases
        self.by_crew += any(step.channel == "crew" for step in one.steps)
        self.cut += one.would_cut
        self.off_before += one.off_before
        # A reason counts once for a contract, however many of its invoices it holds.
        self.held.update({reason_key(reason) for reason in one.holds})


def reason_key(reason: WhyNot | HoldReason) -> str:
    """What a reason is counted and filtered by: its code, for a hold with its kind."""
    if isinstance(reason, WhyNot) and reason.code == "hold":
        return f"hold.{reason.detail}"
    return reason.code


class Foresight:
    """Reads only. `asked`: a day, which its last batch answers for, or a moment; None is now."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def look(self, asked: date | datetime | None, *, after: int = 0) -> Iterator[Told]:
        """Each contract with an open invoice above `after`, by id, one group of them in memory at a time.

        Raises DayOutOfReach for what is over, or more than DAYS_AHEAD days away.
        """
        walker = self._walker(asked)
        while True:
            with self._db.read() as session:
                ids = queries.open_contracts(session, after=after, limit=_CHUNK)
            if not ids:
                return
            yield from self._group(walker, ids)
            after = ids[-1]

    def one(self, contract_id: int, asked: date | datetime | None) -> Told | None:
        """One contract; None when nothing is open on it. Raises DayOutOfReach."""
        found = self._group(self._walker(asked), (contract_id,))
        return found[0] if found and found[0].seen.facts.invoices else None

    def _walker(self, asked: date | datetime | None) -> _Walker:
        now = self._clock.now()
        asked = asked or now
        today = local_date(now, WEST)
        on = local_date(asked, WEST) if isinstance(asked, datetime) else asked
        if on < today or (isinstance(asked, datetime) and asked < now):
            raise DayOutOfReach(
                N_("{day} is over. What was decided then stands in the story of each customer."), day=day(on)
            )
        if on > today + timedelta(days=DAYS_AHEAD):
            raise DayOutOfReach(
                N_("{day} is too far away: at most {n} days can be foreseen."), day=day(on), n=str(DAYS_AHEAD)
            )
        with self._db.read() as session:
            days = (today + timedelta(days=n) for n in range(-1, (on - today).days + 2))
            policies = {one: queries.policy_on(session, one) for one in days}
        return _Walker(asked, now, self._clock.real_now(), policies)

    def _group(self, walker: _Walker, ids: Sequence[int]) -> list[Told]:
        with self._db.read() as session:
            policy = walker.policy_on(walker.now.date())
            facts = facts_of(session, ids, policy, walker.now, calendar_of=walker.calendar_now)
            pending = offs.pending_holds(session, ids, now=walker.now, real=walker.real)
            whose = _whose(session, ids)
            told = []
            for i, one in sorted(facts.items()):
                with_money = replace(one, holds=(*one.holds, *pending.get(i, ())))
                told.append(_told(walker.walk(session, with_money, whose[i][0]), whose[i]))
            return told


@dataclass(slots=True)
class _Walker:
    """What one look shares: policies and calendars of the days, and the cuts it has supposed so far."""

    asked: date | datetime
    now: datetime
    real: datetime
    policies: Mapping[date, DunningPolicy]
    _rules: dict[int, OffPolicy] = field(default_factory=dict)
    _calendars: dict[tuple[date, str], Calendar] = field(default_factory=dict)
    # Cuts supposed: (agency, local day) and (agency, moment).
    _on_day: Counter[tuple[int, date]] = field(default_factory=Counter)
    _at: Counter[tuple[int, datetime]] = field(default_factory=Counter)

    def policy_on(self, on: date) -> DunningPolicy:
        return self.policies[on]

    def calendar_now(self, zone: str) -> Calendar:
        return self.calendar(self.now, zone)

    def calendar(self, at: datetime, zone: str) -> Calendar:
        key = (local_date(at, zone), zone)
        if key not in self._calendars:
            # From midnight on: a window that ended today is a permitted day all the same.
            start = local_time(at, zone).replace(hour=0, minute=0, second=0, microsecond=0)
            self._calendars[key] = calendars(self._off(self.policy_on(at.date())), start)(zone)
        return self._calendars[key]

    def walk(self, session: Session, facts: DunningFacts, agency_id: int) -> Foreseen:
        known: list[OffFacts] = []

        def guards(
            then: DunningFacts, verdict: DunningVerdict, policy: DunningPolicy, local: datetime
        ) -> list[HoldReason]:
            if not known:
                known.append(
                    offs.site_facts(
                        session, contract_id=then.contract_id, overdue_minor=0, now=self.now, real=self.real
                    )
                )  # fmt: skip
            return self._guards(known[0], verdict, policy, local, agency_id)

        rules = Rules(self.policy_on, self.calendar, guards)
        return walk(facts, rules, now=self.now, until=last_moment(self.asked, facts.zone, self.now))

    def _guards(
        self, known: OffFacts, verdict: DunningVerdict, policy: DunningPolicy, local: datetime, agency_id: int
    ) -> list[HoldReason]:
        today, hour = (agency_id, local.date()), (agency_id, local)
        same_day = local.date() == self.now.astimezone(local.tzinfo).date()
        same_hour = local < self.now + timedelta(hours=1)
        held = may_disconnect(
            replace(
                known,
                overdue_minor=verdict.overdue_minor,
                invoiced_minor=verdict.overdue_total_minor,
                offs_today=self._on_day[today] + (known.offs_today if same_day else 0),
                offs_last_hour=self._at[hour] + (known.offs_last_hour if same_hour else 0),
            ),
            self._off(policy),
            local,
        )
        if not held:
            self._on_day[today] += 1
            self._at[hour] += 1
        return held

    def _off(self, policy: DunningPolicy) -> OffPolicy:
        if policy.version not in self._rules:
            self._rules[policy.version] = off_policy(policy)
        return self._rules[policy.version]


def _whose(session: Session, ids: Collection[int]) -> dict[int, tuple[int, str, str, int, str]]:
    """Contract → (agency's id, its name, account, customer's id, name)."""
    rows = session.execute(
        select(
            ContractRow.id, AgencyRow.id, AgencyRow.name, ContractRow.account_number, CustomerRow.id, CustomerRow.name
        )
        .join(SiteRow, SiteRow.id == ContractRow.site_id)
        .join(AgencyRow, AgencyRow.id == SiteRow.agency_id)
        .join(CustomerRow, CustomerRow.id == ContractRow.customer_id)
        .where(ContractRow.id.in_(ids))
    )
    return {row[0]: (row[1], row[2], row[3], row[4], row[5]) for row in rows}


def _told(seen: Foreseen, whose: tuple[int, str, str, int, str]) -> Told:
    _, agency, account, customer_id, customer = whose
    owed = sum(invoice.balance_minor for invoice in seen.facts.invoices)
    return Told(
        contract_id=seen.facts.contract_id,
        account=account,
        customer_id=customer_id,
        customer=customer,
        agency=agency,
        zone=seen.facts.zone,
        owed=Money(owed, seen.facts.currency),
        seen=seen,
    )
