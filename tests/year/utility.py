"""A year of a utility: the real services are driven day by day, and a clerk writes the same in plain dictionaries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from random import Random

from sqlalchemy import select, update

from core.billing.run_tables import InvoiceMeasureRow
from core.billing.tables import InvoiceLineRow, InvoiceRow, ReminderRow
from core.db import Database
from core.kernel.clock import EAST, WEST, FixedClock
from core.readings.model import Point
from core.sealing import Sealer
from core.services.billing import Billing
from core.services.billing_run import BillingRun
from core.services.cases import Cases
from core.services.credit_notes import CreditNotes
from core.services.promises import Promises
from core.services.readings import Readings
from core.services.supply import Supply
from core.settlement.dunning import off_still_due
from core.settlement.offs import off_holds
from core.supply.model import MeterReport
from core.supply.tables import CrewTaskRow, MeterDesiredRow, MeterReportedRow
from tests.year import proofs
from tests.year.acts import Acts
from tests.year.clerk import Bill, Clerk, price
from tests.year.houses import BEGINS, House, Measure, build, versions_of

Expected = tuple[dict[str | None, int], Measure | None]


class _AloneAtNight(BillingRun):
    """Nobody else is at the database: no gaps are left for phones."""

    def _leave_a_gap(self, spent_s: float) -> None:
        pass


@dataclass
class Year(Acts):
    """`run` plays the days; what differs from the clerk's books is an AssertionError with seed, day and customer."""

    db: Database
    clock: FixedClock
    customers: int
    seed: int
    days: int = 365
    clerk: Clerk = field(default_factory=Clerk)
    plans: dict[date, list[Callable[[], None]]] = field(default_factory=lambda: defaultdict(list))
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def __post_init__(self) -> None:
        self.dice = Random(self.seed)
        # Prices change half-way, and not with a month.
        self.changes = BEGINS + timedelta(days=self.days // 2 + 3)
        built = build(self.db, self.clock, self.customers, self.dice, self.changes)
        self.houses = {h.contract: h for h in built}
        self.billing = Billing(self.db, self.clock)
        self.runs = _AloneAtNight(self.db, self.clock, self.billing)
        self.readings = Readings(self.db, self.clock)
        self.notes = CreditNotes(self.db, self.clock)
        self.cases = Cases(self.db, self.clock)
        self.promises = Promises(self.db, self.clock)
        self.supply = Supply(
            self.db, self.clock, sealer=Sealer("s" * 40), off_still_due=off_still_due, off_holds=off_holds
        )
        self.today = BEGINS
        self.keys = 0
        self.lost_notices: set[int] = set()
        self.credited: set[int] = set()
        # bill → the day a reversal opened it again.
        self.again: dict[int, date] = {}
        self._first_readings()

    # The days.

    def run(self, *, check_every: int = 7, watch: Callable[[date], None] = lambda _day: None) -> None:
        for number in range(self.days):
            self.today = BEGINS + timedelta(days=number)
            watch(self.today)
            try:
                self.day()
                if number % check_every == check_every - 1 or number == self.days - 1:
                    proofs.everything(self)
            except AssertionError as error:
                raise AssertionError(f"seed {self.seed}, {self.customers} customers, {self.today}: {error}") from error

    def day(self) -> None:
        self._to(3)
        self.promises.morning()
        self.billing.sweep()
        if self.today.day == 1 and self.today > BEGINS:
            self._to(6)
            self._readings_arrive()
        self._to(7)
        self._notices_arrive()
        self._meters_say_they_are_there()
        if self.today.day == 2 and self.today > BEGINS + timedelta(days=20):
            self._month()
        for zone, hour in ((EAST, 7.5), (WEST, 8.5)):
            self._to(hour)
            cut = self.billing.cut_batch(zone).cut
            proofs.cuts(self, cut)
            self.counts["cut"] += len(cut)
        self._meters_follow()
        self._to(11)
        self._crew()
        if self.today.weekday() == 0:
            self._monday()
        for act in self.plans.pop(self.today, ()):
            act()
        self._to(16)
        self._meters_follow()

    def _to(self, hour: float) -> None:
        at = datetime.combine(self.today, time(), UTC) + timedelta(hours=hour)
        self.clock.advance(seconds=(at - self.clock.now()).total_seconds())

    def later(self, days: int, act: Callable[[], None]) -> None:
        self.plans[self.today + timedelta(days=days)].append(act)

    def key(self, what: str) -> str:
        self.keys += 1
        return f"year:{what}:{self.keys}"

    # Meters.

    def _first_readings(self) -> None:
        for house in self.houses.values():
            if house.kind == "consumption":
                wh = self.dice.randint(0, 9_000_000)
                house.register[BEGINS] = wh
                at = house.midnight(BEGINS)
                self.readings.take(house.meter, [Point(at, wh)], source="radio")
                house.believe(at, wh)

    def _readings_arrive(self) -> None:
        """On the first of a month: weekly registers of the month that is over. Some lack, some nobody can believe."""
        for house in self.houses.values():
            if house.kind != "consumption":
                continue
            days = self._used(house)
            points = [Point(house.midnight(day), house.register[day]) for day in days]
            luck = self.dice.random()
            if luck < 0.04:
                self.counts["month without readings"] += 1
                if luck < 0.02:
                    self.later(11, partial(self._arrived, house, points))
                continue
            if luck < 0.07:
                points = points[:2]
            elif luck < 0.09 and not house.held:
                points[-1] = Point(points[-1].at, points[-1].wh + 1_000_000_000)
                taken = self.readings.take(house.meter, points, source="radio")
                assert (taken.taken, taken.held) == (len(points) - 1, 1), f"contract {house.contract}: {taken}"
                for point in points[:-1]:
                    house.believe(point.at, point.wh)
                house.held.append(points[-1].at)
                self.counts["held readings"] += 1
                self.later(self.dice.randint(0, 20), partial(self._decided, house))
                continue
            self._arrived(house, points)

    def _used(self, house: House) -> list[date]:
        """Let the register run through the month that is over; the days it is read."""
        wh = house.register[max(house.register)]
        first = (self.today - timedelta(days=1)).replace(day=1)
        days = [first + timedelta(days=n) for n in (7, 14, 21)] + [self.today]
        before = first
        for day in days:
            wh += sum(
                self.dice.randint(house.wh_a_day // 2, house.wh_a_day * 3 // 2) for _ in range((day - before).days)
            )
            house.register[day] = wh
            before = day
        return days

    def _arrived(self, house: House, points: list[Point]) -> None:
        taken = self.readings.take(house.meter, points, source="radio")
        assert taken.taken == len(points), f"contract {house.contract}: {taken}"
        for point in points:
            house.believe(point.at, point.wh)

    def _decided(self, house: House) -> None:
        """A person reads the meter and writes what it really said."""
        (row,) = [r for r in self.readings.of_meter(house.meter, limit=12) if r.state == "held"]
        right = row.wh - 1_000_000_000
        self.readings.correct(row.id, right, by="year", reason="a digit too many")
        house.held.remove(row.at)
        house.believe(row.at, right)

    def _meters_say_they_are_there(self) -> None:
        with self.db.begin() as session:
            session.execute(update(MeterReportedRow).values(at=self.clock.real_now()))

    def _meters_follow(self) -> None:
        """Meters carry out what is wanted of them, some of them only the next time."""
        with self.db.read() as session:
            rows = session.execute(
                select(MeterDesiredRow.meter_id, MeterDesiredRow.version, MeterDesiredRow.supply)
                .join(MeterReportedRow, MeterReportedRow.meter_id == MeterDesiredRow.meter_id)
                .where(MeterDesiredRow.version > MeterReportedRow.version)
                .order_by(MeterDesiredRow.meter_id)
            ).all()
        for meter, version, supply in rows:
            if self.dice.random() < 0.15:
                continue
            on, at = supply == "on", int(self.clock.now().timestamp())
            report = MeterReport(version, supply, "closed" if on else "open", 228 * on, 1, at)
            assert self.supply.take_reported(meter, report) == "applied", f"meter {meter}"
            self.counts[f"switched {supply}"] += 1

    def _notices_arrive(self) -> None:
        with self.db.begin() as session:
            rows = session.scalars(
                select(ReminderRow)
                .where(ReminderRow.delivered_at.is_(None), ReminderRow.leaves_at <= self.clock.now())
                .order_by(ReminderRow.id)
            )
            for row in rows:
                if row.id not in self.lost_notices and self.dice.random() < 0.97:
                    row.delivered_at, row.evidence = row.leaves_at, "report"
                else:
                    self.lost_notices.add(row.id)

    def _crew(self) -> None:
        with self.db.read() as session:
            open_tasks = select(CrewTaskRow.id).where(CrewTaskRow.kind == "notice", CrewTaskRow.state == "open")
            tasks = session.scalars(open_tasks.order_by(CrewTaskRow.id)).all()
        for task in tasks:
            self.billing.notice_handed_over(task, by="crew")

    # A month's bills.

    def _month(self) -> None:
        """The office bills the month that is over, and those that were left out of months before, in their order."""
        month = BEGINS
        while month < self.today.replace(day=1):
            self._bill(month)
            month = (month + timedelta(days=31)).replace(day=1)

    def _bill(self, month: date) -> None:
        period, expected = f"{month:%Y-%m}", self._expected(month)
        ran = self.runs.run(period)
        assert ran.made == len(expected), f"{period}: {ran.made} drafts, the clerk has {len(expected)}; {ran.left_out}"
        if expected:
            assert self.runs.validate_all(period).moved == ran.made
            self._compare_bills(period, expected)
            assert self.runs.send_all(period).moved == ran.made
        self.counts["bills"] += ran.made

    def _expected(self, month: date) -> dict[int, Expected]:
        """contract → (parts, measure), as the clerk writes the month's bills."""
        after = (month + timedelta(days=31)).replace(day=1)
        found: dict[int, Expected] = {}
        for house in self.houses.values():
            if house.kind == "prepaid" or month in house.billed:
                continue
            span, measure, wh = (month, after), None, 0
            if house.kind == "consumption":
                measure = self._measure(house, month, after)
                if measure is None:
                    self.counts["left out"] += 1
                    continue
                span, wh = (_day(measure.from_at), _day(measure.until_at)), measure.until_wh - measure.from_wh
            found[house.contract] = (
                price(versions_of(house.code, self.changes), *span, (after - month).days, wh),
                measure,
            )
        return found

    def _measure(self, house: House, month: date, after: date) -> Measure | None:
        """From where the bill before ended to the last register of the month. None: it is not billed now."""
        end, before, later = house.midnight(after), None, None
        for other, measure in sorted(house.billed.items()):
            if other < month:
                before = measure
            elif later is None:
                later = measure
        known = [reading for reading in house.believed if reading[0] <= end]
        if any(at <= end for at in house.held) or not known:
            return None
        if before is not None:
            begin = (before.until_at, before.until_wh)
        else:
            begin = [reading for reading in known if reading[0] <= house.midnight(month)][-1]
        closing = known[-1]
        if closing[0] <= begin[0]:
            first = next(r for r in house.believed if r[0] >= end - timedelta(days=120))
            span = closing[0] - first[0]
            if span < timedelta(days=1) or end <= closing[0]:
                return None
            self.counts["estimated"] += 1
            closing = (end, closing[1] + (closing[1] - first[1]) * (end - closing[0]) // span)
        if closing[0] <= begin[0] or (later is not None and later.from_at < closing[0]):
            return None
        return Measure(*begin, closing[0], max(begin[1], closing[1]))

    def _compare_bills(self, period: str, expected: dict[int, Expected]) -> None:
        drawn = (InvoiceRow.period == period, InvoiceRow.state == "validated")
        ids = select(InvoiceRow.id).where(*drawn)
        with self.db.read() as session:
            invoices = session.scalars(select(InvoiceRow).where(*drawn).order_by(InvoiceRow.id)).all()
            lines: dict[int, dict[str | None, int]] = defaultdict(lambda: defaultdict(int))
            for line in session.scalars(select(InvoiceLineRow).where(InvoiceLineRow.invoice_id.in_(ids))):
                lines[line.invoice_id][line.levy] += line.amount_minor
            rows = session.scalars(select(InvoiceMeasureRow).where(InvoiceMeasureRow.invoice_id.in_(ids)))
            measures = {m.invoice_id: Measure(m.from_at, m.from_wh, m.until_at, m.until_wh) for m in rows}
        for invoice in invoices:
            house = self.houses[invoice.contract_id]
            parts, measure = expected[house.contract]
            where = f"contract {house.contract}, invoice {invoice.number}"
            assert measures.get(invoice.id) == measure, f"{where}: {measures.get(invoice.id)}, the clerk {measure}"
            assert dict(lines[invoice.id]) == parts, f"{where}: {dict(lines[invoice.id])}, the clerk {parts}"
            assert invoice.total_minor == sum(parts.values()), where
            assert invoice.tax_minor == sum(minor for levy, minor in parts.items() if levy), where
            house.billed[date.fromisoformat(f"{period}-01")] = measure
            bill = Bill(house.contract, invoice.currency, parts, invoice.total_minor, 0, self.today)
            self.clerk.sent(invoice.id, bill, self.clock.now())
            self._will_pay(house, invoice.id)


def _day(at: datetime) -> date:
    """The day that begins nearest to a moment, in the houses' zones: registers are read at local midnight."""
    return (at + timedelta(hours=3)).date()
