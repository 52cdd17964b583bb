"""What a prepaid radio meter uses: credit goes down by its readings or its days, once; then warned, then off.

Every contract is its own transaction under its own lock: correct, charge, tell, cut. Running it twice, late or on two
machines changes nothing. Estimates charge nobody and cut nobody.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.billing import queries as billing
from core.billing import tariff_queries
from core.billing.errors import NoTariff
from core.customers.tables import ContractRow
from core.db import Database
from core.kernel.clock import WEST, Clock, day_begins, local_date
from core.kernel.digits import grouped
from core.kernel.money import Money
from core.ledger import queries as ledger
from core.ledger.model import credit
from core.notices.staging import stage_notice
from core.prepaid import use_queries as queries
from core.prepaid import use_rules as rules
from core.prepaid.model import Price, Unit
from core.prepaid.tables import PrepaidMarkRow, PrepaidUseRow
from core.prepaid.use_queries import Register, Subject
from core.prepaid.use_rules import ENOUGH, LOW, USED_UP, Mark, Part
from core.settlement import post
from core.settlement.dunning import lock_contract, off_policy
from core.settlement.effects import holders
from core.settlement.events import PrepaidReturned, PrepaidUsed
from core.settlement.prepaid import NO_CREDIT
from core.settlement.prepaid_off import PrepaidOff
from core.supply.commands import want_supply
from core.supply.rules import next_window
from core.supply.tables import MeterDesiredRow

log = structlog.get_logger(__name__)

PAGE = 200
# Use is counted from the first reading after a contract was opened, but never from further back than this: whoever
# puts the product to work is not charged for years at once.
LOOK_BACK = timedelta(days=1)
# Between the moment the last warning could leave and the cut: time to top up.
FAIR_NOTICE = timedelta(hours=4)
_GAP_MAX_S = 0.05


@dataclass(frozen=True, slots=True)
class UseSettings:
    """In minor units per currency. `low`: a credit down to here is told. `emergency`: so far below zero it may go."""

    low: Mapping[str, int] = field(default_factory=lambda: {"CDF": 200_000, "USD": 100})
    emergency: Mapping[str, int] = field(default_factory=lambda: {"CDF": 100_000, "USD": 50})


@dataclass(frozen=True, slots=True)
class UseRun:
    """What one run did, in contracts. `held`: off was due, and a guard said no."""

    looked_at: int = 0
    charged: int = 0
    corrected: int = 0
    told: int = 0
    cut: int = 0
    held: int = 0
    no_price: int = 0

    def __add__(self, other: UseRun) -> UseRun:
        mine, theirs = asdict(self), asdict(other)
        return UseRun(**{name: mine[name] + theirs[name] for name in mine})


@dataclass(frozen=True, slots=True)
class _Terms:
    """What is the same for all contracts of a run."""

    prices: Mapping[tuple[Unit, str], Sequence[Price]]
    units: Mapping[int, Unit]

    def unit_of(self, subject: Subject) -> Unit:
        """What a contract's tariff counts. Without one: kWh, for a radio meter measures."""
        return self.units.get(subject.tariff_id or 0, "kwh")

    def prices_of(self, subject: Subject) -> Sequence[Price]:
        return self.prices.get((self.unit_of(subject), subject.currency), ())


@dataclass(frozen=True, slots=True)
class _Page:
    """What was read about some contracts before any of them is locked."""

    marks: Mapping[int, PrepaidMarkRow]
    newest: Mapping[str, Register]
    corrected: Mapping[int, int]
    off: frozenset[str]


class PrepaidUse:
    """Owns its transactions: one per contract that has something to do."""

    def __init__(self, db: Database, clock: Clock, settings: UseSettings | None = None) -> None:
        self._db = db
        self._clock = clock
        self._settings = settings or UseSettings()
        self.off = PrepaidOff(self._settings.emergency)

    @property
    def settings(self) -> UseSettings:
        return self._settings

    def run(self) -> UseRun:
        """Look at every prepaid contract with a radio meter, page by page. Raises NotRecorded when the database is
        busy: what was done stays done."""
        total, last = UseRun(), 0
        while True:
            with self._db.read() as session:
                terms = self._terms(session)
                subjects = queries.contracts(session, after=last, limit=PAGE)
                page = self._page(session, subjects)
            if not subjects:
                return total
            last = subjects[-1].contract_id
            total += UseRun(looked_at=len(subjects))
            for subject in subjects:
                if not terms.prices_of(subject):
                    total += UseRun(no_price=1)
                elif self._has_work(subject, terms, page):
                    total += self._one(subject.contract_id, terms)

    def charge(self, contract_id: int) -> UseRun:
        """The same for one contract, now and whole: its newest reading is charged whatever the hour."""
        with self._db.read() as session:
            terms = self._terms(session)
        return UseRun(looked_at=1) + self._one(contract_id, terms)

    def uses(self, contract_id: int, *, limit: int = 50) -> list[PrepaidUseRow]:
        """What was used up of a contract's credit, the newest first."""
        with self._db.read() as session:
            return list(queries.uses(session, contract_id, limit=limit))

    # Before the lock.

    def _terms(self, session: Session) -> _Terms:
        today = local_date(self._clock.now(), WEST)
        units: dict[int, Unit] = {}
        for versions in tariff_queries.versions(session).values():
            try:
                now = versions.on(today)
            except NoTariff:
                now = versions.all[0]
            if now.kind == "prepaid":
                units.update({one.id: "day" if now.unit == "day" else "kwh" for one in versions.all})
        return _Terms(queries.prices(session), units)

    def _page(self, session: Session, subjects: Sequence[Subject]) -> _Page:
        ids, meters = [one.contract_id for one in subjects], [one.meter_id for one in subjects]
        off = select(MeterDesiredRow.meter_id).where(
            MeterDesiredRow.meter_id.in_(meters), MeterDesiredRow.supply == "off"
        )
        return _Page(
            queries.marks(session, ids),
            queries.newest(session, meters),
            queries.corrected(session, ids),
            frozenset(session.scalars(off)),
        )

    def _has_work(self, subject: Subject, terms: _Terms, page: _Page) -> bool:
        """Whether a transaction is worth while. A large credit is charged once a day, a small one at each reading."""
        mark = page.marks.get(subject.contract_id)
        if mark is None or subject.contract_id in page.corrected:
            return True
        if (mark.unit, mark.meter_id) != (terms.unit_of(subject), subject.meter_id):
            return True
        held = Money(subject.held_minor, subject.currency)
        now = self._clock.now()
        if mark.unit == "day":
            if mark.until_at <= now:
                return True
        else:
            newest = page.newest.get(subject.meter_id)
            if newest is not None and newest.at > mark.until_at:
                if local_date(newest.at, subject.zone) > local_date(mark.until_at, subject.zone):
                    return True
                parts, _ = rules.charge_energy(
                    terms.prices_of(subject), queries.mark_of(mark), newest.at, newest.wh, subject.zone
                )
                held = Money(held.minor - sum(part.amount.minor for part in parts), subject.currency)
        level = rules.level(held, self._low(subject.currency))
        return level != mark.told or (level == USED_UP and subject.meter_id not in page.off)

    # One contract, under its lock.

    def _one(self, contract_id: int, terms: _Terms) -> UseRun:
        began = time.monotonic()
        with self._db.begin() as session:
            lock_contract(session, contract_id)
            found = queries.contracts(session, after=0, limit=1, only=contract_id)
            done = self._in_hand(session, found[0], terms) if found else UseRun()
        if self._db.is_sqlite:
            # Leave as long a gap: a writer that waits for SQLite looks only every 100 ms.
            time.sleep(min(time.monotonic() - began, _GAP_MAX_S))
        return done

    def _in_hand(self, session: Session, subject: Subject, terms: _Terms) -> UseRun:
        prices = terms.prices_of(subject)
        if not prices:
            return UseRun(no_price=1)
        mark = self._mark(session, subject, terms.unit_of(subject))
        if mark is None:
            return UseRun()
        corrected = self._correct(session, subject, mark, prices)
        charged = self._charge(session, subject, mark, prices)
        told = self._tell(session, subject, mark)
        cut, held = self._cut(session, subject, mark)
        session.flush()
        return UseRun(charged=charged, corrected=corrected, told=told, cut=cut, held=held)

    def _mark(self, session: Session, subject: Subject, unit: Unit) -> PrepaidMarkRow | None:
        """Where charging stands; begun anew where there is none, for another meter or unit, or where the register it
        began at was corrected. None: nothing was measured yet."""
        row = session.get(PrepaidMarkRow, subject.contract_id, populate_existing=True)
        if row is not None and (row.unit, row.meter_id) == (unit, subject.meter_id):
            if unit == "day" or not queries.began_wrong(session, row):
                return row
            since = row.until_at
        else:
            before = row.until_at if row is not None else subject.opened_at
            since = max(subject.opened_at, self._clock.now() - LOOK_BACK, before)
        at, wh = since, 0
        if unit == "kwh":
            first = queries.first_since(session, subject.meter_id, since)
            if first is None:
                return None
            at, wh = first.at, first.wh
        else:
            at = day_begins(local_date(since, subject.zone), subject.zone)
        if row is None:
            row = PrepaidMarkRow(contract_id=subject.contract_id, last_seq=0, told=ENOUGH, carry=0)
            session.add(row)
        row.meter_id, row.unit, row.until_at, row.until_wh = subject.meter_id, unit, at, wh
        session.flush()
        return row

    def _correct(self, session: Session, subject: Subject, mark: PrepaidMarkRow, prices: Sequence[Price]) -> bool:
        """A reading that was charged for says something else by now: give back from there on. It is charged anew."""
        first = queries.corrected(session, [subject.contract_id]).get(subject.contract_id)
        if first is None:
            return False
        rows = queries.undo_from(session, subject.contract_id, first, self._clock.now())
        begin = rows[0]
        mark.until_at, mark.until_wh, mark.carry = begin.from_at, begin.from_wh, begin.carry_before
        of_price = {price.id: price for price in prices}
        for levy, (amount, tax) in sorted(queries.levies(rows, of_price).items()):
            if amount > 0:
                event = PrepaidReturned(
                    key=f"prepaid_back:{subject.contract_id}:{first}-{rows[-1].seq}:{levy}",
                    contract_id=subject.contract_id,
                    amount=Money(amount, subject.currency),
                    tax=Money(tax, subject.currency) if tax else None,
                    levy=levy,
                )
                post(session, event, clock=self._clock)
        log.info("prepaid.corrected", contract=subject.contract_id, uses=len(rows))
        return True

    def _charge(self, session: Session, subject: Subject, mark: PrepaidMarkRow, prices: Sequence[Price]) -> bool:
        """Charge what was used since the mark. True when money moved."""
        before, reading = queries.mark_of(mark), None
        if mark.unit == "day":
            parts, after = self._days(session, subject, before, prices)
        else:
            reading = queries.newest(session, [subject.meter_id]).get(subject.meter_id)
            if reading is None or reading.at <= mark.until_at:
                return False
            parts, after = rules.charge_energy(prices, before, reading.at, reading.wh, subject.zone)
        for part in parts:
            mark.last_seq += 1
            session.add(self._use(subject, mark, part, reading))
            if part.amount:
                event = PrepaidUsed(
                    key=f"prepaid_use:{subject.contract_id}:{mark.last_seq}",
                    contract_id=subject.contract_id,
                    amount=part.amount,
                    tax=part.tax if part.tax else None,
                    levy=part.price.levy,
                )
                post(session, event, clock=self._clock)
        mark.until_at, mark.until_wh, mark.carry = after.at, after.wh, after.carry
        session.flush()
        return any(part.amount for part in parts)

    def _days(
        self, session: Session, subject: Subject, before: Mark, prices: Sequence[Price]
    ) -> tuple[list[Part], Mark]:
        """Days that have begun. Those that begin while supply is off by our wish cost nothing."""
        zone, now = subject.zone, self._clock.now()
        tomorrow = local_date(now, zone) + timedelta(days=1)
        desired = session.get(MeterDesiredRow, subject.meter_id, populate_existing=True)
        if desired is None or desired.supply == "on":
            return rules.charge_days(prices, before, tomorrow, zone)
        dark = local_date(desired.set_at, zone) + timedelta(days=1)
        parts, after = rules.charge_days(prices, before, min(dark, tomorrow), zone)
        return parts, Mark(max(after.at, day_begins(tomorrow, zone)), 0, after.carry)

    def _use(self, subject: Subject, mark: PrepaidMarkRow, part: Part, reading: Register | None) -> PrepaidUseRow:
        return PrepaidUseRow(
            contract_id=subject.contract_id,
            seq=mark.last_seq,
            meter_id=subject.meter_id,
            reading_id=reading.reading_id if reading else None,
            price_id=part.price.id,
            unit=mark.unit,
            from_at=part.before.at,
            until_at=part.after.at,
            from_wh=part.before.wh,
            until_wh=part.after.wh,
            reading_wh=reading.wh if reading else 0,
            days=part.days,
            currency=subject.currency,
            amount_minor=part.amount.minor,
            tax_minor=part.tax.minor,
            carry_before=part.before.carry,
            carry_after=part.after.carry,
            charged_at=self._clock.now(),
        )

    # What follows from the credit.

    def _low(self, currency: str) -> int:
        return self._settings.low.get(currency, 0)

    def _tell(self, session: Session, subject: Subject, mark: PrepaidMarkRow) -> bool:
        """Say once that the credit is low, and once that it is used up; after a top-up it may be said again."""
        held = ledger.balance(session, credit(subject.contract_id), subject.currency)
        level = rules.level(held, self._low(subject.currency))
        if level <= mark.told:
            mark.told = level
            return False
        mark.told, mark.told_at = level, self._clock.now()
        contract = session.get_one(ContractRow, subject.contract_id, populate_existing=True)
        known = holders(session, contract, clock=self._clock)
        if not known:
            return False
        person = known[0]
        notice = stage_notice(
            session,
            clock=self._clock,
            kind="prepaid.low" if level == LOW else "prepaid.used_up",
            key=f"prepaid.level:{subject.contract_id}:{mark.last_seq}:{level}:{self._clock.now():%Y%m%d%H%M}",
            recipient=person.phone,
            language=person.language,
            blanks={
                "account": grouped(contract.account_number),
                "credit": held.text if person.fresh and level == LOW else "",
            },
            zone=subject.zone,
            customer_id=person.customer_id,
            contract_id=subject.contract_id,
        )
        if notice is not None and notice.leaves_at is not None:
            # In the night it waits; the time to top up begins when it leaves.
            mark.told_at = notice.leaves_at
        return True

    def _cut(self, session: Session, subject: Subject, mark: PrepaidMarkRow) -> tuple[bool, bool]:
        """(wanted off, held by a guard). Off only with the emergency amount used up too, and after a fair warning."""
        now = self._clock.now()
        contract = session.get_one(ContractRow, subject.contract_id, populate_existing=True)
        if mark.told != USED_UP or mark.told_at is None or now < mark.told_at + FAIR_NOTICE:
            return False, False
        desired = session.get(MeterDesiredRow, subject.meter_id, populate_existing=True)
        if (desired is not None and desired.supply == "off") or not self.off.used_up(session, contract):
            return False, False
        if self.off.guards(session, clock=self._clock, contract_id=subject.contract_id):
            return False, True
        window = next_window(off_policy(billing.policy_on(session, now.date())), now, subject.zone)
        if window is None:
            return False, True
        want_supply(
            session,
            clock=self._clock,
            meter_id=subject.meter_id,
            supply="off",
            reason=NO_CREDIT,
            contract_id=subject.contract_id,
            not_before=now,
            not_after=window[1],
            set_by="prepaid",
        )
        return True, False
