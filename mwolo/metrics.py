"""What `/metrics` shows: counters of this process, and figures read from the database when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import outbox
from core.db import Database
from core.kernel.clock import Clock
from core.payments.tables import AttemptRow, CallbackRow, CircuitRow, PaymentRow
from core.supply.tables import MeterDesiredRow, MeterReportedRow


class _Books(Collector):
    """Read at each scrape: the same answer from every web process."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def collect(self) -> Iterator[GaugeMetricFamily]:
        now = self._clock.real_now()
        waiting = GaugeMetricFamily("mwolo_outbox_pending", "Effects waiting, by kind", labels=["kind"])
        oldest = GaugeMetricFamily("mwolo_outbox_oldest_seconds", "Age of the oldest waiting effect", labels=["kind"])
        dead = GaugeMetricFamily("mwolo_outbox_dead", "Effects a person must look at")
        attempts = GaugeMetricFamily("mwolo_attempts", "Payment attempts by state", labels=["wallet", "state"])
        callbacks = GaugeMetricFamily("mwolo_callbacks", "Callbacks by state", labels=["wallet", "state"])
        unsure = GaugeMetricFamily(
            "mwolo_attempts_oldest_open_seconds", "Age of the oldest attempt without a final word", labels=["wallet"]
        )
        found_by = GaugeMetricFamily(
            "mwolo_payments",
            "Payments by how they were found; the share of callbacks falling to zero is an alarm",
            labels=["wallet", "found_by"],
        )
        left_alone = GaugeMetricFamily(
            "mwolo_wallet_left_alone", "1 while an operator is not called", labels=["wallet"]
        )
        suspense = GaugeMetricFamily(
            "mwolo_suspense_payments", "Payments that nobody has placed yet", labels=["wallet", "currency"]
        )
        astray = GaugeMetricFamily("mwolo_meters_out_of_step", "Meters that do not report what is wanted")
        with self._db.read() as session:
            for kind, (count, since) in outbox.pending_by_kind(session).items():
                waiting.add_metric([kind], count)
                oldest.add_metric([kind], max(0.0, (now - since).total_seconds()))
            dead.add_metric([], outbox.dead_count(session))
            for wallet, state, count in session.execute(
                select(AttemptRow.wallet, AttemptRow.state, func.count()).group_by(AttemptRow.wallet, AttemptRow.state)
            ):
                attempts.add_metric([wallet, state], count)
            for wallet, state, count in session.execute(
                select(CallbackRow.wallet, CallbackRow.state, func.count()).group_by(
                    CallbackRow.wallet, CallbackRow.state
                )
            ):
                callbacks.add_metric([wallet, state], count)
            self._money(session, now, unsure, found_by, left_alone, suspense)
            out_of_step = (
                select(func.count())
                .select_from(MeterDesiredRow)
                .outerjoin(MeterReportedRow, MeterReportedRow.meter_id == MeterDesiredRow.meter_id)
                .where(func.coalesce(MeterReportedRow.supply, "") != MeterDesiredRow.supply)
            )
            astray.add_metric([], int(session.scalar(out_of_step) or 0))
        yield from (waiting, oldest, dead, attempts, callbacks, unsure, found_by, left_alone, suspense, astray)

    @staticmethod
    def _money(
        session: Session,
        now: datetime,
        unsure: GaugeMetricFamily,
        found_by: GaugeMetricFamily,
        left_alone: GaugeMetricFamily,
        suspense: GaugeMetricFamily,
    ) -> None:
        since = (
            select(AttemptRow.wallet, func.min(AttemptRow.created_at))
            .where(AttemptRow.is_open.is_(True))
            .group_by(AttemptRow.wallet)
        )
        for wallet, first in session.execute(since):
            unsure.add_metric([wallet], max(0.0, (now - first).total_seconds()))
        for wallet, by, count in session.execute(
            select(PaymentRow.wallet, PaymentRow.found_by, func.count()).group_by(
                PaymentRow.wallet, PaymentRow.found_by
            )
        ):
            found_by.add_metric([wallet, by], count)
        for wallet, until in session.execute(select(CircuitRow.wallet, CircuitRow.open_until)):
            left_alone.add_metric([wallet], float(until is not None and until > now))
        for wallet, currency, count in session.execute(
            select(PaymentRow.wallet, PaymentRow.currency, func.count())
            .where(PaymentRow.in_suspense.is_(True))
            .group_by(PaymentRow.wallet, PaymentRow.currency)
        ):
            suspense.add_metric([wallet, currency], count)


class Metrics:
    """`counter("hooks")` gives a function that counts an outcome at that door."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Books(db, clock))
        self._doors = Counter(
            "mwolo_requests",
            "Requests at the doors for machines, by outcome",
            ["door", "outcome"],
            registry=self._registry,
        )

    def counter(self, door: str) -> Callable[[str], None]:
        def count(outcome: str) -> None:
            self._doors.labels(door, outcome).inc()

        return count

    def text(self) -> bytes:
        return generate_latest(self._registry)
