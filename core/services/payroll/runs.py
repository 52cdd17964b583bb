"""A month's run: opened and computed by one person, looked at, and closed by another."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import outbox
from core.kernel.clock import WEST, day_begins, local_date
from core.kernel.money import CURRENCIES
from core.payroll import queries, rules
from core.payroll.errors import PayrollRefused
from core.payroll.model import Line, Look, RatesView, RunView, SlipView
from core.payroll.tables import PayRatesRow, PayrollLookRow, PayrollRunRow
from core.services.payroll import closing, drafting
from core.services.payroll.context import Context


class Runs:
    """Owns its transactions. `by` is a staff login. Every method raises PayrollRefused; nothing was changed then."""

    def __init__(self, context: Context) -> None:
        self._ctx = context

    # -- opening and computing

    def open(self, period: str, currency: str, *, by: str) -> int:
        """Open a month's run in one currency and compute its slips; the run's id.

        Months are closed in their order, one run at a time in a currency: what an agent is owed is counted from one to
        the next.
        """
        first, _ = rules.first_and_last(period)
        now = self._ctx.clock.now()
        if currency not in CURRENCIES:
            raise PayrollRefused("period_invalid", currency[:3])
        if first > local_date(now, WEST):
            raise PayrollRefused("period_future")
        try:
            with self._ctx.db.begin() as session:
                self._check_order(session, period, currency)
                run = PayrollRunRow(
                    period=period, currency=currency, state="open", opened_at=now, opened_by=by[:80], computed_at=now,
                    computed_by=by[:80], commission_until=self._until(period), version=0,
                )  # fmt: skip
                session.add(run)
                session.flush()
                slips = self._compute(session, run, by)
                if slips == 0:
                    raise PayrollRefused("nobody")
                self._ctx.audit(session, by, "payroll.opened", _name(run), f"{slips} slips")
                return run.id
        except IntegrityError as error:
            # Somebody else opened it at the same moment.
            raise PayrollRefused("run_open", period) from error

    def compute(self, run_id: int, *, by: str) -> None:
        """Compute every slip anew, with what is due and owed now. What anybody saw of it before does not count."""
        with self._ctx.db.begin() as session:
            run = _locked(session, run_id, "open", "review")
            run.commission_until = self._until(run.period)
            slips = self._compute(session, run, by)
            self._ctx.audit(session, by, "payroll.computed", _name(run), f"{slips} slips, version {run.version}")

    def _compute(self, session: Session, run: PayrollRunRow, by: str) -> int:
        drafted = drafting.draft(session, run.currency, run.period, run.commission_until)
        if drafted.salaried and drafted.rates is None:
            raise PayrollRefused("no_rates")
        drafting.write(session, run, drafted.slips)
        run.rates_id = drafted.rates.id if drafted.rates and drafted.salaried else None
        run.version += 1
        run.computed_at, run.computed_by = self._ctx.clock.now(), by[:80]
        return len(drafted.slips)

    def _check_order(self, session: Session, period: str, currency: str) -> None:
        waiting = session.scalar(
            select(PayrollRunRow.period).where(
                PayrollRunRow.currency == currency, PayrollRunRow.state.in_(("open", "review", "closing"))
            )
        )
        if waiting is not None:
            raise PayrollRefused("run_open", waiting)
        closed = queries.newest_closed(session, currency)
        if closed >= period:
            raise PayrollRefused("period_passed", closed)

    def _until(self, period: str) -> datetime:
        """Commission up to the end of the month, or up to now where the month is not over."""
        next_month, _ = rules.first_and_last(rules.next_period(period))
        return min(self._ctx.clock.now(), day_begins(next_month, WEST))

    # -- looking

    def hand_on(self, run_id: int, *, by: str) -> None:
        """It is ready to be looked at."""
        with self._ctx.db.begin() as session:
            run = _locked(session, run_id, "open")
            run.state = "review"
            self._ctx.audit(session, by, "payroll.handed_on", _name(run), f"version {run.version}")

    def looked(self, run_id: int, version: int, *, by: str, note: str = "") -> None:
        """Write down that somebody has looked at every slip of this computation."""
        with self._ctx.db.begin() as session:
            run = _locked(session, run_id, "open", "review")
            if run.version != version:
                raise PayrollRefused("changed")
            self._look(session, run, by, note, sent_back=False)
            self._ctx.audit(session, by, "payroll.looked", _name(run), f"version {version} {note}".strip()[:300])

    def send_back(self, run_id: int, *, by: str, note: str) -> None:
        """Something is to be corrected: back to who opened it, with what."""
        if not note.strip():
            raise PayrollRefused("words_missing")
        with self._ctx.db.begin() as session:
            run = _locked(session, run_id, "review")
            run.state = "open"
            self._look(session, run, by, note, sent_back=True)
            self._ctx.audit(session, by, "payroll.sent_back", _name(run), note[:300])

    def cancel(self, run_id: int, *, by: str, note: str) -> None:
        """Give up a run that is not closed: nothing was paid, and the month can be opened anew."""
        with self._ctx.db.begin() as session:
            run = _locked(session, run_id, "open", "review")
            run.state = "cancelled"
            self._look(session, run, by, note, sent_back=True)
            self._ctx.audit(session, by, "payroll.cancelled", _name(run), note[:300])

    def _look(self, session: Session, run: PayrollRunRow, by: str, note: str, *, sent_back: bool) -> None:
        session.add(
            PayrollLookRow(
                run_id=run.id, version=run.version, by=by[:80], at=self._ctx.clock.now(),
                note=" ".join(note.split())[:300], sent_back=sent_back,
            )
        )  # fmt: skip
        session.flush()

    # -- closing

    def close(self, run_id: int, version: int, *, by: str) -> None:
        """Decide that a run is right. From here on it is never changed; `finish` does what follows, slip by slip.

        Refused to who opened or computed it, without a look of one's own, and where it would come out differently now.
        Twice, or by two at once, is once: the second finds it decided (run_state).
        """
        with self._ctx.db.begin() as session:
            run = _locked(session, run_id, "review")
            if run.version != version:
                raise PayrollRefused("changed")
            if by in (run.opened_by, run.computed_by):
                raise PayrollRefused("same_person")
            if not queries.has_looked(session, run_id, version, by[:80]):
                raise PayrollRefused("not_looked")
            self._check_unchanged(session, run)
            run.state, run.closed_at, run.closed_by = "closing", self._ctx.clock.now(), by[:80]
            self._ctx.audit(session, by, "payroll.closed", _name(run), f"version {version}, opened by {run.opened_by}")
            outbox.stage(
                session, kind="payroll.close", key=f"payroll:{run.id}", body={"run_id": run.id}, clock=self._ctx.clock
            )

    def _check_unchanged(self, session: Session, run: PayrollRunRow) -> None:
        drafted = drafting.draft(session, run.currency, run.period, run.commission_until)
        now: dict[object, tuple[Line, ...]] = {one.payee: one.lines for one in drafted.slips}
        same_rates = not drafted.salaried or (drafted.rates is not None and drafted.rates.id == run.rates_id)
        if not same_rates or now != drafting.as_written(session, run):
            raise PayrollRefused("changed")

    def finish(self, run_id: int, *, limit: int | None = None) -> int:
        """Number, book, print and announce the slips of a run that was decided; how many this call did.

        A few to each transaction: a crash costs nothing that was committed, and whoever comes next goes on. `limit`:
        no more than so many transactions.
        """
        done = 0
        while limit is None or limit > 0:
            with self._ctx.db.begin() as session:
                run = queries.locked_run(session, run_id)
                if run is None or run.state != "closing":
                    return done
                some = closing.close_some(session, run, self._ctx.clock)
            done, limit = done + some, None if limit is None else limit - 1
        return done

    def mark_paid(self, run_id: int, reference: str, *, by: str, slip_id: int | None = None) -> int:
        """The bank has paid: all slips of a run that are not paid yet, or one. How many; a second time there are none.

        `reference`: of the bank's order.
        """
        reference = " ".join(reference.split())[:60]
        if not reference:
            raise PayrollRefused("words_missing")
        paid = 0
        while True:
            with self._ctx.db.begin() as session:
                run = _locked(session, run_id, "closed")
                some = closing.pay_some(session, run, reference, by=by[:80], slip_id=slip_id, clock=self._ctx.clock)
                if some and paid == 0:
                    self._ctx.audit(session, by, "payroll.paid", _name(run), f"{slip_id or 'all'}, {reference}")
            if some == 0:
                return paid
            paid += some

    # -- reading

    def all(self, *, before_id: int | None = None, limit: int = 24) -> list[RunView]:
        """Newest first."""
        with self._ctx.db.read() as session:
            return queries.runs(session, before_id=before_id, limit=limit)

    def one(self, run_id: int) -> RunView:
        with self._ctx.db.read() as session:
            return _one(session, run_id)

    def slips(self, run_id: int, *, after: int = 0, limit: int = 100) -> list[SlipView]:
        """Employees by number, then agents by code, from place `after` on."""
        with self._ctx.db.read() as session:
            return queries.slips(session, run_id=run_id, after=after, limit=limit)

    def lines(self, slip_ids: list[int]) -> dict[int, list[Line]]:
        with self._ctx.db.read() as session:
            return dict(queries.lines_of(session, slip_ids))

    def slip(self, slip_id: int) -> tuple[SlipView, list[Line]]:
        with self._ctx.db.read() as session:
            found = queries.slips(session, slip_id=slip_id)
            if not found:
                raise PayrollRefused("slip_unknown")
            return found[0], queries.lines_of(session, [slip_id])[slip_id]

    def looks(self, run_id: int) -> list[Look]:
        with self._ctx.db.read() as session:
            return queries.looks(session, run_id)

    def rates_of(self, run: RunView) -> RatesView | None:
        """What its salaries were computed with."""
        with self._ctx.db.read() as session:
            row = session.get(PayRatesRow, run.rates_id) if run.rates_id is not None else None
            return queries.rates_view(row) if row is not None else None

    def next_period(self, currency: str) -> str:
        """The month that comes after the newest closed one; this month where none was closed."""
        with self._ctx.db.read() as session:
            closed = queries.newest_closed(session, currency)
        return rules.next_period(closed) if closed else f"{local_date(self._ctx.clock.now(), WEST):%Y-%m}"


def _one(session: Session, run_id: int) -> RunView:
    found = queries.runs(session, run_id=run_id)
    if not found:
        raise PayrollRefused("run_unknown")
    return found[0]


def _locked(session: Session, run_id: int, *states: str) -> PayrollRunRow:
    run = queries.locked_run(session, run_id)
    if run is None:
        raise PayrollRefused("run_unknown")
    if run.state not in states:
        raise PayrollRefused("run_state", run.state)
    return run


def _name(run: PayrollRunRow) -> str:
    return f"{run.period} {run.currency}"
