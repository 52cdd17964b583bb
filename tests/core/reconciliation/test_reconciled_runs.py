"""What one run leaves to the next: its limits, its gaps, a database that is busy, and days closed in between."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.errors import NotRecorded, PartnerDown
from core.payments.answers import BillPayment, StatementLine
from core.payments.tables import PaymentRow
from core.reconciliation.errors import ReconciliationRefused
from core.services.reconciliation import days, imports, matching
from tests.core.payments.scripted import BILL
from tests.core.reconciliation.clerk import COLUMNS, DAY, OPTIONS, Clerk, Line, ReportingWallet, as_csv
from tests.core.settlement.books import francs

OTHER = "+243815552222"


def _differing(clerk: Clerk, count: int) -> None:
    """Lines that differ, and stay so while nobody comes."""
    for n in range(count):
        clerk.paid(f"OLD{n}", f"+24381555{n:04d}", francs(600 + n))
    clerk.take(*(Line(f"OLD{n}", "1", at="10/03/2026 08:30:00") for n in range(count)), name="old.csv")
    assert clerk.outcomes() == ["differs"] * count


def test_lines_that_wait_for_a_person_do_not_keep_new_ones_waiting(
    any_clerk: Clerk, monkeypatch: pytest.MonkeyPatch
) -> None:
    _differing(any_clerk, 3)
    monkeypatch.setattr(imports, "match", lambda *_: 0)
    any_clerk.take(Line("TXNEW", "777", ref=any_clerk.account, payer="", at="10/03/2026 12:50:00"), name="new.csv")
    any_clerk.office.match_all(1)
    assert any_clerk.outcomes()[-1] == "theirs_only"


def test_a_small_window_comes_to_every_line_that_differs(clerk: Clerk) -> None:
    _differing(clerk, 3)
    with clerk.db.begin() as session:
        session.execute(update(PaymentRow).values(amount_minor=100))
    for _ in range(3):
        clerk.clock.advance(seconds=1)
        clerk.office.match("vodacom", 1)
    assert clerk.outcomes() == ["matched"] * 3


def test_a_line_that_the_database_refuses_stops_no_other(clerk: Clerk, monkeypatch: pytest.MonkeyPatch) -> None:
    settle = matching._judged

    def busy(ctx: object, line_id: int, **how: bool) -> object:
        if line_id in (1, 2):
            raise NotRecorded("the database is busy")
        return settle(ctx, line_id, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(matching, "_judged", busy)
    clerk.take(*(Line(f"T{n}", str(100 + n), payer="") for n in range(4)))
    assert clerk.outcomes() == ["new", "new", "theirs_only", "theirs_only"]
    monkeypatch.setattr(matching, "_judged", lambda *_, **__: (_ for _ in ()).throw(NotRecorded("down")))
    clerk.take(*(Line(f"U{n}", str(200 + n), payer="") for n in range(9)), name="more.csv")
    with pytest.raises(NotRecorded):
        clerk.office.match("vodacom")
    monkeypatch.setattr(matching, "_judged", settle)
    clerk.office.match("vodacom")
    assert clerk.outcomes() == ["theirs_only"] * 13


# -- what is fetched


def _days(wallet: ReportingWallet) -> list[tuple[int, int]]:
    """First and last day of what was asked for, as days of March in Kinshasa."""
    return [((start + timedelta(hours=1)).day, (end + timedelta(hours=1)).day) for start, end in wallet.asked]


def test_days_without_an_answer_are_fetched_when_it_comes(clean_db: Database, clock: FixedClock) -> None:
    wallet = ReportingWallet()
    clerk = Clerk(clean_db, clock, wallet)
    clerk.office.fetch_yesterday()
    wallet.report = PartnerDown("vodacom", "timeout")
    for _ in range(6):
        clerk.clock.advance(days=1)
        clerk.office.fetch_yesterday()
    wallet.report = [StatementLine("p:1", "payment", BILL, clerk.clock.now(), provider_txn_id="TX1")]
    clerk.office.fetch_yesterday()
    clerk.clock.advance(days=1)
    clerk.office.fetch_yesterday()
    assert _days(wallet) == [(8, 10), *((min(10, end - 2), end) for end in range(11, 17)), (10, 16), (15, 17)]


def test_a_gap_stays_a_gap_when_a_person_fetches_what_came_later(db: Database, clock: FixedClock) -> None:
    wallet = ReportingWallet()
    clerk = Clerk(db, clock, wallet)
    clerk.office.fetch_yesterday()
    clerk.clock.advance(days=6)
    now = clerk.clock.now()
    clerk.office.import_api("vodacom", now - timedelta(days=1), now, "nadine")
    clerk.office.import_file("vodacom", "CDF", "API 2026.csv", as_csv([Line("T")]), COLUMNS, OPTIONS, "nadine")
    clerk.office.fetch_yesterday()
    assert _days(wallet)[-1] == (10, 16)
    clerk.clock.advance(days=60)
    clerk.office.fetch_yesterday()
    start, end = wallet.asked[-1]
    assert end - start == timedelta(days=31)


def test_two_lines_of_a_fetched_report_under_one_key_are_a_problem(db: Database, clock: FixedClock) -> None:
    wallet = ReportingWallet()
    clerk = Clerk(db, clock, wallet)
    line = StatementLine("p:1", "payment", BILL, clock.now(), provider_txn_id="TX1", raw={"row": "1"})
    wallet.report = [line, replace(line, raw={"row": "2"}), replace(line, amount=francs(5))]
    done = clerk.office.fetch_yesterday()["vodacom"]
    assert (done.new, done.bad, done.problems[0].blanks) == (1, 1, {"txn": "TX1"})


# -- closing


def test_a_day_with_lines_that_could_not_be_read_is_closed_only_with_a_word(any_clerk: Clerk) -> None:
    any_clerk.paid("TX1")
    any_clerk.take(Line("TX1"), Line("TX2", kind="Riddle"))
    any_clerk.take(Line("TX9", kind="Riddle"), name="nothing.csv")
    assert any_clerk.office.day("vodacom", DAY, "CDF").unread_lines == 2
    any_clerk.clock.advance(days=1)
    with pytest.raises(ReconciliationRefused) as refused:
        any_clerk.office.close_day("vodacom", DAY, "CDF", "", "nadine")
    assert refused.value.blanks == {"count": "2"}
    closed = any_clerk.office.close_day("vodacom", DAY, "CDF", "The portal says: a test of theirs.", "nadine")
    assert closed.unread_lines == 2
    other = any_clerk.office.day("vodacom", DAY - timedelta(days=8), "CDF")
    assert other.unread_lines == 0


@pytest.mark.parametrize("first", ["import", "close"])
@pytest.mark.parametrize("clean_db", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
def test_a_report_and_a_closing_wait_for_each_other(
    any_clerk: Clerk, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite has one writer anyway."""
    any_clerk.paid("TX1")
    any_clerk.take(Line("TX1"))
    any_clerk.clock.advance(days=1)
    inside, go = threading.Event(), threading.Event()

    def held(*_: object) -> None:
        inside.set()
        assert go.wait(60)

    remember, figures = imports._remember, days._figures

    def remembered(*args: object) -> None:
        held()
        remember(*args)  # type: ignore[arg-type]

    def counted(*args: object) -> object:
        held()
        return figures(*args)  # type: ignore[arg-type]

    if first == "import":
        monkeypatch.setattr(imports, "_remember", remembered)
    else:
        monkeypatch.setattr(days, "_figures", counted)

    def close() -> None:
        any_clerk.office.close_day("vodacom", DAY, "CDF", "Signed.", "nadine")

    def take() -> None:
        any_clerk.take(Line("TX5", "900", ref="?", payer=""), name="late.csv")

    one, two = (take, close) if first == "import" else (close, take)
    with ThreadPoolExecutor(2) as pool:
        leading = pool.submit(one)
        assert inside.wait(60)
        monkeypatch.undo()
        following = pool.submit(two)
        _until_somebody_waits(any_clerk.db)
        go.set()
        leading.result()
        following.result()
    day = any_clerk.office.day("vodacom", DAY, "CDF")
    shown = [line.provider_txn_id for line in any_clerk.office.after_closing("vodacom", DAY, "CDF")]
    assert (day.theirs.count, shown) == ((2, []) if first == "import" else (1, ["TX5"]))


def _until_somebody_waits(db: Database) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    tick = threading.Event()
    for _ in range(100):
        with db.read() as session:
            if session.connection().exec_driver_sql(waiting).scalar():
                return
        tick.wait(0.01)


# -- what only we have


def test_payments_of_one_moment_are_paged_one_by_one(any_clerk: Clerk) -> None:
    at = datetime(2026, 3, 10, 8, tzinfo=UTC)
    for n in range(5):
        any_clerk.till.payments.book_bill("vodacom", BillPayment(f"B{n}", francs(100 + n), "?", None, at))
    any_clerk.clock.advance(days=3)
    seen: list[str] = []
    after: datetime | None = None
    while page := any_clerk.office.ours_only("vodacom", limit=2, after=after, after_id=seen[-1] if seen else ""):
        seen += [payment.id for payment in page]
        after = page[-1].received_at
    assert len(set(seen)) == len(seen) == 5
