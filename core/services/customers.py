"""What the channels and the console ask about customers and the phones that speak for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy.exc import OperationalError

from core.customers import queries
from core.customers.model import AgencyView, AgentRole, AttemptView, ContractView, OpenInvoice, ReceiptView, Snapshot
from core.db import Database
from core.i18n import LANGUAGES
from core.kernel.clock import Clock
from core.kernel.errors import NotRecorded
from core.kernel.money import Money
from core.services.customer_reads import ACTIVITY, RECEIPTS, WHO, WHO_AND_ACCOUNT
from core.services.cut_dates import CutDates

# An attempt that ended badly is spoken of for so long.
RECENT = timedelta(minutes=10)
# No attempt stays open longer: after a day a person has it.
_HORIZON = timedelta(days=3)
# Agencies hardly ever change; each process reads them again after this time.
_AGENCIES_KEPT_S = 300


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
        end_text = next((row.reference for row in done if row.what == "end"), None)
        attempts, newest = _activity(row for row in done if row.what != "end")
        return Snapshot(
            phone=phone,
            at=now,
            language=_language(rows),
            is_linked=any(r.link_id is not None for r in rows),
            last_brand=caller.last_brand,
            contracts=contracts,
            other=other,
            attempts=attempts,
            receipts=newest,
            agent=_agent(rows[0]),
            end_text=end_text,
        )

    def agencies(self) -> tuple[AgencyView, ...]:
        """All agencies by city, at most five minutes old. Raises NotRecorded."""
        kept = self._agencies
        if kept is None or kept[0] < time.monotonic():
            try:
                with self._agencies_lock, self._db.connect_read() as connection:
                    kept = (time.monotonic() + _AGENCIES_KEPT_S, queries.agencies(connection))
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
                    )
        views = tuple(self._own(row, invoices[number]) for number, row in sorted(first.items()))
        if other is None:
            return views, None
        own = next((view for view in views if view.id == other.contract_id), None)
        return views, own or _view(other, own=False)

    def _own(self, row: Any, invoices: dict[int, OpenInvoice]) -> ContractView:
        oldest_first = tuple(sorted(invoices.values(), key=lambda i: (i.sent_on, i.id)))
        return _view(
            row,
            own=True,
            credit=Money(row.credit_minor, row.currency) if row.credit_minor is not None else None,
            supply=row.supply,
            invoices=oldest_first,
            cut_on=self._cut_on(row, oldest_first),
        )

    def _cut_on(self, row: Any, invoices: Sequence[OpenInvoice]) -> date | None:
        if not invoices or row.protected is not None or row.control_kind in (None, "none"):
            return None
        owed = sum(invoice.due.minor for invoice in invoices)
        first = min(invoices, key=lambda invoice: invoice.cycle_started_on)
        day = self._cut_dates.cut_on(first.cycle_started_on, owed_minor=owed, currency=row.currency, zone=row.time_zone)
        named = first.named_cut_on
        return day if day is None or named is None else max(day, named)


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


def _activity(rows: Iterable[Any]) -> tuple[tuple[AttemptView, ...], tuple[ReceiptView, ...]]:
    attempts: dict[str, AttemptView] = {}
    receipts: dict[str, ReceiptView] = {}
    for row in rows:
        amount = Money(row.minor, row.currency)
        if row.what == "payment":
            receipts[row.key] = ReceiptView(row.key, row.reference, amount, row.at, row.account_number, row.time_zone)
        else:
            attempts[row.key] = AttemptView(
                row.key,
                row.contract_id,
                amount,
                row.reference,
                row.payer_phone,
                row.asked_by_phone,
                row.state,
                bool(row.is_open),
                row.reason,
                row.at,
                row.ended_at,
            )
    newest_attempts = sorted(attempts.values(), key=lambda a: a.created_at, reverse=True)
    newest_receipts = sorted(receipts.values(), key=lambda r: r.at, reverse=True)
    return tuple(newest_attempts), tuple(newest_receipts[:RECEIPTS])
