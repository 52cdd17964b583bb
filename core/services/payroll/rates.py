"""Rates by version: written, never changed, and confirmed by an accountant's word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.payroll import queries, rate_rules, rules
from core.payroll.errors import PayrollRefused
from core.payroll.model import RatesView
from core.payroll.tables import PayRatesRow
from core.services.payroll.context import Context


class PayRates:
    """Owns its transactions. `by` is a staff login."""

    def __init__(self, context: Context) -> None:
        self._ctx = context

    def add(self, currency: str, from_period: str, body: Mapping[str, Any], *, by: str) -> int:
        """Another version, in force from a month on; its number. What was closed stays as it is: none begins in a month
        that was closed with rates. Raises PayrollRefused."""
        rules.first_and_last(from_period)
        rate_rules.read_rates(body, currency)
        try:
            with self._ctx.db.begin() as session:
                closed = queries.newest_closed(session, currency, with_employees=True)
                if from_period <= closed:
                    raise PayrollRefused("rates_closed_month", closed)
                return self._write(session, currency, from_period, body, by)
        except IntegrityError as error:
            # Somebody else wrote this version at the same moment: the next one is free.
            raise PayrollRefused("changed") from error

    def write_first(self, by: str = "system") -> list[str]:
        """Give each currency that has none a first version, which nobody has confirmed; the currencies that got one."""
        written = []
        for currency, body in rate_rules.FIRST_RATES.items():
            try:
                with self._ctx.db.begin() as session:
                    known = select(PayRatesRow.id).where(PayRatesRow.currency == currency).limit(1)
                    if session.scalar(known) is None:
                        self._write(session, currency, rate_rules.FIRST_FROM, body, by)
                        written.append(currency)
            except IntegrityError:
                continue  # two upgrades at once: the other one wrote them
        return written

    def confirm(self, rates_id: int, words: str, *, by: str) -> None:
        """Write down that an accountant has confirmed them: who, in words. Raises PayrollRefused."""
        words = " ".join(words.split())[:200]
        with self._ctx.db.begin() as session:
            row = session.get(PayRatesRow, rates_id, with_for_update={"key_share": True}, populate_existing=True)
            if row is None or not words:
                raise PayrollRefused("rates_unknown" if row is None else "words_missing")
            if row.confirmed_at is not None:
                return
            row.confirmed_at, row.confirmed_by, row.confirmation = self._ctx.clock.now(), by[:80], words
            self._ctx.audit(session, by, "payroll.rates_confirmed", f"{row.currency} version {row.version}", words)

    def all(self) -> list[RatesView]:
        """Every version, newest first."""
        with self._ctx.db.read() as session:
            return queries.all_rates(session)

    def _write(self, session: Session, currency: str, from_period: str, body: Mapping[str, Any], by: str) -> int:
        newest = select(func.max(PayRatesRow.version)).where(PayRatesRow.currency == currency)
        row = PayRatesRow(
            currency=currency,
            version=(session.scalar(newest) or 0) + 1,
            from_period=from_period,
            body=dict(body),
            made_at=self._ctx.clock.now(),
            made_by=by[:80],
        )
        session.add(row)
        session.flush()
        told = ", ".join(
            [*(levy["code"] for levy in body.get("contributions", [])), (body.get("tax") or {}).get("code", "")]
        )
        self._ctx.audit(
            session, by, "payroll.rates", f"{currency} version {row.version}", f"from {from_period}: {told}"
        )
        return row.version
