"""What the channels and the console ask about customers and the phones that speak for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy.exc import OperationalError

from core.customers import queries
from core.customers.model import (
    AgencyView,
    AgentRole,
    ContractView,
    OpenInvoice,
    PrepaidView,
    PromiseView,
    ReadingView,
    Snapshot,
)
from core.db import Database
from core.i18n import LANGUAGES
from core.kernel.clock import WEST, Clock, local_date
from core.kernel.errors import NotRecorded
from core.kernel.money import Money
from core.services.caller_activity import Activity
from core.services.customer_reads import ACTIVITY, WHO, WHO_AND_ACCOUNT
from core.services.cut_dates import CutDates
from core.services.public_holidays import without_hours

# An attempt that ended badly is spoken of for so long.
RECENT = timedelta(minutes=10)
# No attempt stays open longer: after a day a person has it.
_HORIZON = timedelta(days=3)
# Agencies hardly ever change; each process reads them again after this time.
_AGENCIES_KEPT_S = 300
# Days on which their hours differ are known so far ahead.
_AGENCY_DAYS = timedelta(days=60)


class Customers:
    """Reads of callers, and their choice of language. Every method opens and ends its own transaction."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._who, self._who_and_account = db.prepare(WHO), db.prepare(WHO_AND_ACCOUNT)
        self._activity = {which: db.prepare(statement) for which, statement in ACTIVITY.items()}
        self._cut_dates = CutDates(db, clock)
        self._agencies: tuple[float, tuple[AgencyView, ...]] | None = None
        self._agencies_lock = threading.Lock()

    def snapshot(
        self, phone: str, account: str | None = None, *, details: bool = True, turn_key: str | None = None
    ) -> Snapshot:
        """What is known of the caller `phone` (E.164), in two reads.

        `account`: an account number the caller typed; its contract comes as `other`, masked. `details` False: the
        caller is sure to show no receipts and the like, and none are read. `turn_key`: look also for the END that this
        turn left behind. Raises NotRecorded when the database does not answer in time.
        """
        now = self._clock.now()
        who = {"phone": phone, "now": now}
        # Attempts live in real time, invoices and links in business time.
        real = self._clock.real_now()
        activity = {**who, "horizon": real - _HORIZON, "since": real - RECENT, "turn_key": turn_key}
        try:
            with self._db.prepared_read() as run:
                if account is None:
                    rows = run(self._who, who)
                else:
                    rows = run(self._who_and_account, {**who, "account": account})
                done = run(self._activity[details, turn_key is not None], activity)
        except OperationalError as error:
            raise NotRecorded("the database did not answer") from error
        contracts, other = self._contracts(rows)
        caller = next((r for r in rows if not r.is_other and r.last_brand), rows[0])
        found = Activity.of(done)
        return Snapshot(
            phone=phone,
            at=now,
            language=_language(rows),
            is_linked=any(r.link_id is not None for r in rows),
            last_brand=caller.last_brand,
            contracts=contracts,
            other=other,
            attempts=found.attempts,
            receipts=found.receipts,
            agent=_agent(rows[0]),
            proof_failed=bool(rows[0].proof_failed),
            requests=found.requests,
            members=found.members,
            cases=found.cases,
            end_text=found.end_text,
        )

    def agencies(self) -> tuple[AgencyView, ...]:
        """All agencies by city, at most five minutes old. Raises NotRecorded."""
        kept = self._agencies
        if kept is None or kept[0] < time.monotonic():
            try:
                with self._agencies_lock, self._db.connect_read() as connection:
                    since = local_date(self._clock.now(), WEST) - timedelta(days=1)
                    until = since + _AGENCY_DAYS
                    holidays = without_hours(since, until)
                    found = queries.agencies(connection, since=since, until=until, holidays=holidays)
                    kept = (time.monotonic() + _AGENCIES_KEPT_S, found)
                    self._agencies = kept
            except OperationalError as error:
                raise NotRecorded("the database did not answer") from error
        return kept[1]

    def set_language(self, phone: str, language: str) -> None:
        """Keep the language that a number chose. Raises ValueError for one we do not speak, NotRecorded."""
        if language not in LANGUAGES:
            raise ValueError(f"no such language: {language!r}")
        with self._db.begin() as session:
            queries.set_language(session, phone=phone, language=language, now=self._clock.now())

    def _contracts(self, rows: Sequence[Any]) -> tuple[tuple[ContractView, ...], ContractView | None]:
        first: dict[int, Any] = {}
        invoices: dict[int, dict[int, OpenInvoice]] = {}
        other: Any = None
        for row in rows:
            if row.is_other:
                other = row
            elif row.contract_id is not None:
                first.setdefault(row.contract_id, row)
                found = invoices.setdefault(row.contract_id, {})
                if row.invoice_id is not None:
                    found[row.invoice_id] = OpenInvoice(
                        row.invoice_id,
                        row.number,
                        row.period,
                        Money(row.due_minor, row.currency),
                        row.sent_on,
                        row.cycle_started_on,
                        row.named_cut_on,
                        local_date(row.held_until, row.time_zone) if row.held_until else None,
                    )
        views = tuple(self._own(row, invoices[number]) for number, row in sorted(first.items()))
        if other is None:
            return views, None
        own = next((view for view in views if view.id == other.contract_id), None)
        return views, own or _view(other, own=False)

    def _own(self, row: Any, invoices: dict[int, OpenInvoice]) -> ContractView:
        oldest_first = tuple(sorted(invoices.values(), key=lambda i: (i.sent_on, i.id)))
        cut_on = self._cut_on(row, oldest_first)
        days = self._cut_dates.promise_days(row.time_zone) if oldest_first else ()
        return _view(
            row,
            own=True,
            customer_id=row.customer_id,
            role=row.role,
            credit=Money(row.credit_minor, row.currency) if row.credit_minor is not None else None,
            supply=row.supply,
            why_off=row.why_off if row.supply == "off" else None,
            invoices=oldest_first,
            cut_on=cut_on,
            meter_id=row.meter_id,
            control=row.control_kind,
            reading=_reading(row),
            prepaid=_prepaid(row),
            promise=_promise(row),
            # A promise that ends before anything could be cut would be a word for nothing.
            promise_days=tuple(day for day in days if cut_on is None or day >= cut_on),
        )

    def _cut_on(self, row: Any, invoices: Sequence[OpenInvoice]) -> date | None:
        if not invoices or row.protected is not None or row.control_kind in (None, "none"):
            return None
        # The oldest comes first, unless it is held: then one of those behind it may.
        disputed = [invoice for invoice in invoices if invoice.held_until is not None]
        others = [invoice for invoice in invoices if invoice.held_until is None]
        first = [min(others, key=lambda invoice: invoice.cycle_started_on)] if others else []
        days = (
            self._cut_dates.cut_on(
                invoice.cycle_started_on,
                owed_minor=sum(invoice.due.minor for invoice in invoices),
                currency=row.currency,
                zone=row.time_zone,
                named_on=invoice.named_cut_on,
                promised_on=row.promised_on if row.promise_state == "open" else None,
                held_until=invoice.held_until,
            )
            for invoice in (*disputed, *first)
        )
        return min((day for day in days if day is not None), default=None)


def _view(row: Any, *, own: bool, **more: Any) -> ContractView:
    return ContractView(
        id=row.contract_id,
        account_number=row.account_number,
        name=row.name,
        kind=row.kind,
        currency=row.currency,
        state=row.state,
        time_zone=row.time_zone,
        commune=row.commune,
        own=own,
        **more,
    )


def _language(rows: Sequence[Any]) -> str | None:
    """The link's, then the number's, then the customer's: the order in which notices choose theirs."""
    for column in ("link_language", "phone_language", "customer_language"):
        for row in rows:
            language = getattr(row, column)
            if language:
                return str(language)
    return None


def _agent(row: Any) -> AgentRole | None:
    if row.agent_id is None:
        return None
    return AgentRole(row.agent_id, row.agent_code, row.agent_name, row.agent_currency)


def _reading(row: Any) -> ReadingView | None:
    if row.reported_at is None:
        return None
    energy = (row.report or {}).get("e_imp_wh")
    return ReadingView(row.reported, row.reported_at, energy if isinstance(energy, int) else None)


def _prepaid(row: Any) -> PrepaidView | None:
    if row.issued_at is None:
        return None
    tokens, recent = tuple(row.tokens.split()), tuple(row.recent_tokens.split())
    return PrepaidView(row.unit, row.quantity, tokens, row.issued_at, row.paid_until, recent)


def _promise(row: Any) -> PromiseView | None:
    if row.promise_state is None:
        return None
    promised = Money(row.promised_minor, row.currency)
    return PromiseView(row.promise_state, row.promised_on, promised, row.promise_ended_at)
