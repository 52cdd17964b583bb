"""Work on a month's invoices, ordered at the console and carried out by a worker, a part at a time.

An order drafts, validates or sends. It may be cut off anywhere and handed out twice: what is done is looked at as it is
in the invoices themselves. Between two parts, others of the queue have their turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import outbox
from core.billing import run_queries as queries
from core.billing.run_model import Month
from core.billing.run_tables import BillingOrderRow
from core.billing.tables import InvoiceRow
from core.customers.tables import AgencyRow, ContractRow
from core.db import Database
from core.kernel.clock import Clock
from core.kernel.errors import StateConflict
from core.kernel.money import Money
from core.outbox import Done, OutboxRow, Outcome, Retry
from core.services.billing_run import BillingRun, Part, Progress

KIND = "billing.order"
Act = Literal["draft", "validate", "send"]
ACTS: tuple[Act, ...] = ("draft", "validate", "send")
OPEN = ("waiting", "running", "stopping")
# What other rows of the queue wait at most for an order.
PART_S = 15.0
# How often an order says how far it is, while a part lasts.
SAY_S = 2.0
_AGAIN_S = 0.1
_REFUSED_KEPT = 200
_EXPECTED: dict[Act, str] = {"validate": "draft", "send": "validated"}


class OrderRefused(StateConflict):
    """An order that cannot be given. `code`: under_way, unknown_agency, ended."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order as the console shows it. `refused`: (invoice id, why: closed, amount, other), the first of them."""

    id: int
    act: Act
    period: str
    agency: str | None
    run_id: int | None
    state: str
    of: int
    done: int
    moved: int
    refused: tuple[tuple[int, str], ...]
    refused_count: int
    ordered_by: str
    ordered_at: datetime
    ended_at: datetime | None

    @property
    def is_open(self) -> bool:
        return self.state in OPEN


class BillingOrders:
    """Owns its transactions. `audit`: `Staff.audit`, which writes into the caller's transaction. `part_s`: how long one
    part lasts; tests make it short."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        runs: BillingRun,
        audit: Callable[[Session, str, str, str, str], None],
        *,
        part_s: float = PART_S,
    ) -> None:
        self._db = db
        self._clock = clock
        self._runs = runs
        self._audit = audit
        self._part_s = part_s

    def order(self, key: str, act: Act, period: str, *, agency: str | None, by: str) -> int:
        """Stage the work; the order's id. The same `key` again is the same order.

        Raises BadPeriod for no month or one that has not begun, OrderRefused where the same is under way.
        """
        self._runs.check(period)
        try:
            return self._order(key, act, Month.read(period), agency, by)
        except IntegrityError:
            # Pressed twice in the same instant (PostgreSQL lets two look first): the other one is the order.
            return self._order(key, act, Month.read(period), agency, by)

    def _order(self, key: str, act: Act, month: Month, agency: str | None, by: str) -> int:
        with self._db.begin() as session:
            known = session.scalar(select(BillingOrderRow.id).where(BillingOrderRow.key == key))
            if known is not None:
                return known
            agency_id = None
            if agency:
                agency_id = session.scalar(select(AgencyRow.id).where(AgencyRow.code == agency))
                if agency_id is None:
                    raise OrderRefused("unknown_agency")
            if self._under_way(session, act, month.text):
                raise OrderRefused("under_way")
            row = BillingOrderRow(
                key=key,
                act=act,
                period=month.text,
                agency_id=agency_id,
                refused=[],
                ordered_by=by,
                ordered_at=self._clock.now(),
            )
            session.add(row)
            session.flush()
            outbox.stage(
                session,
                kind=KIND,
                key=f"{KIND}:{row.id}",
                body={"order_id": row.id},
                clock=self._clock,
                priority=9,
            )
            self._audit(session, by, f"billing.{act}", f"month {month.text}", agency or "all agencies")
            return row.id

    def stop(self, order_id: int, *, by: str) -> None:
        """Have it end after what is in hand; what is done stays done. Raises OrderRefused for one that has ended.

        One whose errand was given up ends at once: no worker will come to it any more.
        """
        with self._db.begin() as session:
            row = session.get(BillingOrderRow, order_id, with_for_update={"key_share": True})
            if row is None or row.state not in OPEN:
                raise OrderRefused("ended")
            errand = session.scalar(select(OutboxRow.state).where(OutboxRow.key == f"{KIND}:{row.id}"))
            if errand == "pending":
                row.state = "stopping"
            else:
                self._end(row, "stopped")
            self._audit(session, by, "billing.stop", f"month {row.period}", f"{row.act}, order {row.id}")

    def of_month(self, period: str, *, limit: int = 20) -> tuple[OrderView, ...]:
        """The newest orders of a month, those of all agencies."""
        with self._db.read() as session:
            found = session.execute(
                _VIEWS.where(BillingOrderRow.period == period).order_by(BillingOrderRow.id.desc()).limit(limit)
            )
            return tuple(_view(row, code) for row, code in found)

    def carry_on(self, order_id: int) -> Outcome:
        """Do the next part. What to do with the row in the outbox: `Retry` until the order has ended."""
        with self._db.begin() as session:
            row = session.get(BillingOrderRow, order_id, with_for_update={"key_share": True})
            if row is None:
                return Done("there is no such order")
            if row.state == "stopping":
                self._end(row, "stopped")
            if row.state not in OPEN:
                return Done(row.state)
            row.state, row.began_at = "running", row.began_at or self._clock.now()
            view = _view(row, self._code(session, row.agency_id))
            after = row.after_id
        told = _Told(self, view, after)
        part = Part(view.run_id, after, told.enough)
        match view.act:
            case "draft":
                ended = self._draft(view, part, told)
            case "validate":
                result = self._runs.validate_all(view.period, agency=view.agency, watch=told.watch, part=part)
                told.refused, ended = result.refused, result.ended
            case "send":
                result = self._runs.send_all(
                    view.period, agency=view.agency, by=view.ordered_by, watch=told.watch, part=part
                )
                told.refused, ended = result.refused, result.ended
        told.save(ended=ended)
        return Done(f"{told.moved} moved") if ended else Retry(_AGAIN_S, "goes on", counts=False)

    # Inside.

    def _draft(self, view: OrderView, part: Part, told: _Told) -> bool:
        run_id = view.run_id
        if run_id is None:
            run_id = self._runs.begin(view.period, agency=view.agency, by=view.ordered_by)
            with self._db.begin() as session:
                session.get_one(BillingOrderRow, view.id).run_id = run_id
        part = Part(run_id, part.after, part.enough)
        return self._runs.run(view.period, agency=view.agency, by=view.ordered_by, watch=told.watch, part=part).ended

    def save(self, view: OrderView, told: _Told, *, ended: bool) -> bool:
        """Write down how far an order is. True when somebody wants it to stop."""
        with self._db.begin() as session:
            row = session.get_one(BillingOrderRow, view.id, with_for_update={"key_share": True})
            if row.run_id is not None:
                told.moved = queries.made_by(session, row.run_id)
            row.of, row.done, row.moved, row.after_id = told.of, told.done, told.moved, told.after
            new = self._real(session, view.act, told.refused)
            told.refused = ()
            row.refused = [*row.refused, *([invoice_id, why] for invoice_id, why in new)][:_REFUSED_KEPT]
            row.refused_count += len(new)
            if ended:
                self._end(row, "done")
            return row.state == "stopping"

    @staticmethod
    def _real(session: Session, act: Act, refused: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
        """Those that stand where they stood, and why. What somebody else moved meanwhile was not refused."""
        expected = _EXPECTED.get(act)
        found: list[tuple[int, str]] = []
        for invoice_id, _ in refused:
            invoice = session.get(InvoiceRow, invoice_id)
            if invoice is None or invoice.state != expected:
                continue
            contract = session.get_one(ContractRow, invoice.contract_id)
            if not Money(invoice.total_minor, invoice.currency).is_chargeable:
                found.append((invoice_id, "amount"))
            else:
                found.append((invoice_id, "closed" if contract.state != "active" else "other"))
        return found

    def _end(self, row: BillingOrderRow, state: str) -> None:
        row.state, row.ended_at = state, self._clock.now()

    @staticmethod
    def _under_way(session: Session, act: Act, period: str) -> bool:
        found = select(BillingOrderRow.id).where(
            BillingOrderRow.period == period, BillingOrderRow.act == act, BillingOrderRow.state.in_(OPEN)
        )
        return session.scalar(found.limit(1)) is not None

    @staticmethod
    def _code(session: Session, agency_id: int | None) -> str | None:
        return session.scalar(select(AgencyRow.code).where(AgencyRow.id == agency_id)) if agency_id else None

    @property
    def part_s(self) -> float:
        return self._part_s


class _Told:
    """How far one part is, told to the order's row now and then."""

    def __init__(self, orders: BillingOrders, view: OrderView, after: int) -> None:
        self._orders = orders
        self._view = view
        self._until = time.monotonic() + orders.part_s
        self._said_at: float | None = None
        self._stop = False
        self._untold = 0
        self.of, self.done, self.moved, self.after = view.of, view.done, view.moved, after
        self.refused: tuple[tuple[int, str], ...] = ()

    def watch(self, progress: Progress) -> None:
        view = self._view
        if self._said_at is None:
            self._count(progress.of)
        self.done = view.done + self._untold + progress.done
        self.moved, self.after = view.moved + self._untold + progress.moved, progress.after
        self.of = max(view.of or progress.of, self.done)
        if self._said_at is None or time.monotonic() - self._said_at >= SAY_S:
            self._said_at = time.monotonic()
            self.save(ended=False)

    def _count(self, left: int) -> None:
        """A part that was killed moved more than it had told: what is left of the month says so."""
        if self._view.of:
            self._untold = max(0, self._view.of - left - self._view.moved)

    def enough(self) -> bool:
        return self._stop or time.monotonic() >= self._until

    def save(self, *, ended: bool) -> None:
        if ended and self._said_at is None:
            self._count(self._view.refused_count)
            self.done, self.moved = self.of, self.moved + self._untold
        self._stop = self._orders.save(self._view, self, ended=ended) or self._stop


_VIEWS = select(BillingOrderRow, AgencyRow.code).outerjoin(AgencyRow, AgencyRow.id == BillingOrderRow.agency_id)


def _view(row: BillingOrderRow, agency: str | None) -> OrderView:
    refused: list[Any] = row.refused
    return OrderView(
        id=row.id,
        act=cast(Act, row.act),
        period=row.period,
        agency=agency,
        run_id=row.run_id,
        state=row.state,
        of=row.of,
        done=row.done,
        moved=row.moved,
        refused=tuple((int(invoice_id), str(why)) for invoice_id, why in refused),
        refused_count=row.refused_count,
        ordered_by=row.ordered_by,
        ordered_at=row.ordered_at,
        ended_at=row.ended_at,
    )
