"""Operators' own reports beside our books: taken in, matched, worked off by people, and each day signed.

`Reconciliation` is what the console, the schedule and the CLI call. An import is one transaction; each line is then
matched in its own, so that a crash in between leaves lines that the next `match` takes up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from core.db import Database
from core.kernel.clock import Clock
from core.payments.ports import Wallet
from core.reconciliation.model import (
    AgeBand,
    Bookings,
    DayFigures,
    Decision,
    Imported,
    ImportView,
    LineView,
    PaymentView,
    Placed,
    Preview,
    SavedMapping,
    SuspenseItem,
    Totals,
)
from core.services.reconciliation import days, decide, holds, imports, matching, suspense
from core.services.reconciliation.context import Context

__all__ = ["Reconciliation"]

# How long an operator may take to show a payment in its report.
SETTLEMENT_DELAY = timedelta(days=2)


class Reconciliation:
    """One instance per process. `payments` books what only the operator knew of; `settlement_delay`: how long a payment
    of ours may be missing in the operator's report before it is on a person's list.

    Every method opens and ends its own transactions. Those that write take `by`, the login of the person (or
    `system`); refusals are ReconciliationRefused (a StateConflict with `text` and `blanks`), and NotRecorded when the
    database was busy.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        wallets: Mapping[str, Wallet],
        payments: Bookings,
        *,
        settlement_delay: timedelta = SETTLEMENT_DELAY,
    ) -> None:
        self._ctx = Context(db, clock, wallets, payments, settlement_delay)

    # -- taking reports in

    def saved_mapping(self, wallet: str, currency: str) -> SavedMapping | None:
        """The columns last used for this wallet and currency; else our own guess; None where we have none."""
        return imports.saved_mapping(self._ctx, wallet, currency)

    def preview(
        self, wallet: str, currency: str, filename: str, data: bytes, columns: Mapping[str, str],
        options: Mapping[str, object], *, rows: int = 10,
    ) -> Preview:  # fmt: skip
        """Read a file and change nothing. `columns`: our field (FIELDS) → its header in the file; may be empty."""
        return imports.preview(self._ctx, wallet, currency, filename, data, columns, options, rows=rows)

    def import_file(
        self, wallet: str, currency: str, filename: str, data: bytes, columns: Mapping[str, str],
        options: Mapping[str, object], by: str,
    ) -> Imported:  # fmt: skip
        """Take a file in, remember its columns, match its lines. The same bytes again: the first import's answer.

        A bad line costs only itself. Lines with a number that we have are matched at once, and up to a thousand others;
        `match` or `match_all` does the rest. Raises BadFile or BadMapping; then nothing was taken.
        """
        return imports.import_file(self._ctx, wallet, currency, filename, data, columns, options, by)

    def import_api(self, wallet: str, start: datetime, end: datetime, by: str) -> Imported:
        """Fetch the operator's report of [start, end) and take it in. Raises PartnerError, ReconciliationRefused."""
        return imports.import_api(self._ctx, wallet, start, end, by)

    def fetch_yesterday(self, by: str = "system") -> dict[str, Imported]:
        """The reports of the last two Kinshasa days before today, from every wallet that has them; after days without
        an answer from where they leave off, at most 31 days back. A wallet that does not answer is left out (and
        logged)."""
        return imports.fetch_yesterday(self._ctx, by)

    def imports(self, wallet: str | None = None, limit: int = 50) -> Sequence[ImportView]:
        """Newest first."""
        return imports.listed(self._ctx, wallet, limit)

    def release(self, import_id: int, note: str, by: str) -> None:
        """Let the lines of a report be booked that were held because it has so many new ones. Repeats harmlessly."""
        imports.match_now(self._ctx, holds.release(self._ctx, import_id, note, by))

    # -- matching

    def match(self, wallet: str, limit: int = 100_000) -> int:
        """Match every line that nobody has settled yet; how many are settled now that were not before."""
        return matching.match(self._ctx, wallet, limit)

    def match_all(self, limit: int = 5_000) -> int:
        """`match` for every wallet with open lines. Called by the schedule: a large import leaves some to it."""
        return matching.match_all(self._ctx, limit)

    def lines(
        self, wallet: str, *, day: date | None = None, currency: str | None = None, outcome: str | None = None,
        open_only: bool = False, limit: int = 100, after: int = 0,
    ) -> Sequence[LineView]:  # fmt: skip
        """Lines by id, `after` the last one seen. `open_only`: those that wait for a person."""
        return decide.lines(self._ctx, wallet, day, currency, outcome, open_only, limit, after)

    def line(self, line_id: int) -> LineView | None:
        """One line with what it may be about (`candidates`)."""
        return decide.line(self._ctx, line_id)

    def settle_line(self, line_id: int, decision: Decision, note: str, by: str, *, target: str | None = None) -> None:
        """A person's word about a line that differs. `note` says why; `target` as Decision says."""
        decide.settle_line(self._ctx, line_id, decision, note, by, target)

    def ours_only(
        self, wallet: str, until: datetime | None = None, *, limit: int = 100, after: datetime | None = None,
        after_id: str = "",
    ) -> Sequence[PaymentView]:  # fmt: skip
        """Payments that came before `until` (default: the settlement delay ago) and no line shows; oldest first.

        The next page: `received_at` and `id` of the last one seen as `after` and `after_id`.
        """
        return days.ours_only(self._ctx, wallet, until, limit, after, after_id)

    # -- days

    def day(self, wallet: str, day: date, currency: str) -> DayFigures:
        """The day as it stands now, or as it was frozen."""
        return days.day(self._ctx, wallet, day, currency)

    def days(self, wallet: str, currency: str, *, limit: int = 31) -> Sequence[DayFigures]:
        """The last days on which anything happened, newest first."""
        return days.days(self._ctx, wallet, currency, limit)

    def after_closing(self, wallet: str, day: date, currency: str) -> Sequence[LineView]:
        """Lines of a closed day that came after it was signed."""
        return days.after_closing(self._ctx, wallet, day, currency)

    def close_day(self, wallet: str, day: date, currency: str, note: str, by: str) -> DayFigures:
        """Sign a day. Its figures are frozen, its fees booked. Refused while it is not over, twice, and without a note
        while anything of it is open."""
        return days.close_day(self._ctx, wallet, day, currency, note, by)

    # -- suspense

    def suspense(
        self, limit: int = 50, after: str | None = None, *, wallet: str | None = None
    ) -> Sequence[SuspenseItem]:
        """Money nobody could place, oldest first, with proposals; `after` is the last payment id seen."""
        return suspense.items(self._ctx, limit, after, wallet)

    def suspense_item(self, payment_id: str) -> SuspenseItem | None:
        return suspense.item(self._ctx, payment_id)

    def place(self, payment_id: str, contract_id: int, by: str, note: str) -> Placed:
        """Put suspense on a contract. Takes two people: the first call is written down, the same call by somebody else
        does it. Repeats harmlessly."""
        return suspense.place(self._ctx, payment_id, contract_id, by, note)

    def withdraw_placing(self, payment_id: str, by: str) -> None:
        """Take back what `place` wrote down, before the second person has come. Anybody may."""
        suspense.withdraw(self._ctx, payment_id, by)

    def ageing(self) -> Sequence[AgeBand]:
        return suspense.ageing(self._ctx)

    # -- the three ways

    def totals(self, wallet: str) -> Sequence[Totals]:
        """Payments, operator's report and ledger, one row per currency."""
        return days.totals(self._ctx, wallet)
