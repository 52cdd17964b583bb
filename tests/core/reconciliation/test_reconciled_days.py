"""Days: their figures, their closing, what comes afterwards; and reports fetched by themselves."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.errors import PartnerDown
from core.kernel.money import Money
from core.ledger.model import Account, wallet_clearing
from core.payments.answers import StatementLine
from core.reconciliation.errors import ReconciliationRefused
from core.reconciliation.model import Figure
from tests.core.payments.scripted import BILL
from tests.core.reconciliation.clerk import DAY, Clerk, Line, ReportingWallet
from tests.core.settlement.books import francs

OTHER = "+243815552222"


def test_a_day_in_figures(any_clerk: Clerk) -> None:
    any_clerk.paid("TX1")
    any_clerk.paid("TX2", OTHER, francs(700))
    any_clerk.paid("TX3", "+243815553333", francs(900))
    any_clerk.take(
        Line("TX1", fee="285"),
        Line("TX2", amount="600"),
        Line("TX4", amount="50000", ref="?", payer=""),
        Line("RV", kind="Reversal", orig="TX1"),
        Line("RF", kind="Refund", amount="10", orig="TX3"),
        Line("FE", kind="Fee", amount="15"),
        Line("PO", kind="Payout", amount="1000"),
        Line("TX9", at="09/03/2026 23:59:59", ref="?", payer="", amount="1"),
    )
    day = any_clerk.office.day("vodacom", DAY, "CDF")
    # TX4 came that day as well: what a statement brings in is dated by the operator.
    assert day.ours == Figure(4, BILL.minor + 70_000 + 90_000 + 5_000_000)
    assert day.theirs == Figure(3, BILL.minor + 60_000 + 5_000_000)
    assert day.matched == Figure(1, BILL.minor)
    assert day.theirs_only == Figure(1, 5_000_000)
    assert day.differs == Figure(1, 60_000)
    assert day.ours_only == Figure(1, 90_000)
    assert day.reversals == Figure(1, BILL.minor)
    assert day.refunds == Figure(1, 1_000)
    assert day.fees == Figure(2, 30_000)
    assert day.payouts == Figure(1, 100_000)
    assert day.open_lines == 2
    assert day.closing_minor == 70_000 + 90_000 + 5_000_000 + 100 - 100_000
    assert not day.is_closed
    assert [d.day for d in any_clerk.office.days("vodacom", "CDF")] == [DAY, date(2026, 3, 9)]
    assert any_clerk.office.day("vodacom", DAY, "USD").theirs == Figure()


def test_a_day_is_signed_once_and_stays_as_it_was(any_clerk: Clerk) -> None:
    any_clerk.paid("TX1")
    any_clerk.take(Line("TX1", fee="285"))
    close = any_clerk.office.close_day
    with pytest.raises(ReconciliationRefused, match="not over"):
        close("vodacom", DAY, "CDF", "", "nadine")
    any_clerk.clock.advance(days=1)
    signed = close("vodacom", DAY, "CDF", "", "nadine")
    assert (signed.closed_by, signed.matched.count, signed.after_closing) == ("nadine", 1, 0)
    with pytest.raises(ReconciliationRefused, match="closed already"):
        close("vodacom", DAY, "CDF", "", "paul")
    any_clerk.take(Line("TX5", ref="?", payer="", fee="5"), name="late.csv")
    frozen = any_clerk.office.day("vodacom", DAY, "CDF")
    assert (frozen.theirs, frozen.fees) == (Figure(1, BILL.minor), Figure(1, 28_500))
    assert frozen.after_closing == 1
    assert [line.provider_txn_id for line in any_clerk.office.after_closing("vodacom", DAY, "CDF")] == ["TX5"]
    # The late fee is booked with the next day that is signed.
    assert any_clerk.books.balance(Account("fees")) == francs(285)
    any_clerk.clock.advance(days=1)
    close("vodacom", DAY + timedelta(days=1), "CDF", "", "nadine")
    assert any_clerk.books.balance(Account("fees")) == francs(290)
    assert any_clerk.books.balance(wallet_clearing("vodacom")) == francs(2 * 28_500 - 290)
    any_clerk.check()


def test_a_day_with_open_items_is_signed_only_with_a_word_about_them(any_clerk: Clerk) -> None:
    any_clerk.paid("TX1")
    any_clerk.paid("TX2", OTHER, francs(700))
    any_clerk.take(Line("TX1", amount="28000"))
    any_clerk.clock.advance(days=1)
    with pytest.raises(ReconciliationRefused) as refused:
        any_clerk.office.close_day("vodacom", DAY, "CDF", "  ", "nadine")
    assert refused.value.blanks == {"count": "2"}
    day = any_clerk.office.close_day("vodacom", DAY, "CDF", "The operator looks into both.", "nadine")
    assert (day.note, day.open_lines, day.ours_only.count) == ("The operator looks into both.", 1, 1)


def test_yesterdays_report_is_fetched_and_matched(db: Database, clock: FixedClock) -> None:
    wallet = ReportingWallet()
    clerk = Clerk(db, clock, wallet)
    attempt_id, own = clerk.asked()
    wallet.report = [
        StatementLine("p:1", "payment", BILL, clerk.clock.now(), provider_txn_id="TX1", own_ids=(own,)),
        StatementLine("p:1", "payment", BILL, clerk.clock.now(), provider_txn_id="TX1", own_ids=(own,)),
        StatementLine("p:2", "payment", Money(0, "CDF"), clerk.clock.now(), provider_txn_id="TX2"),
    ]
    clerk.clock.advance(days=1)
    (done,) = clerk.office.fetch_yesterday().values()
    assert (done.new, done.known, done.bad) == (1, 0, 1)
    assert wallet.asked == [(datetime(2026, 3, 8, 23, tzinfo=UTC), datetime(2026, 3, 10, 23, tzinfo=UTC))]
    assert clerk.till.attempt(attempt_id).state == "succeeded"
    again = clerk.office.fetch_yesterday()["vodacom"]
    assert again.repeated
    clerk.clock.advance(days=1)
    assert clerk.office.fetch_yesterday()["vodacom"].known == 1
    clerk.check()


def test_a_wallet_that_does_not_answer_is_left_for_the_next_run(db: Database, clock: FixedClock) -> None:
    wallet = ReportingWallet()
    clerk = Clerk(db, clock, wallet)
    wallet.report = PartnerDown("vodacom", "timeout")
    assert clerk.office.fetch_yesterday() == {}
    with pytest.raises(PartnerDown):
        clerk.office.import_api("vodacom", clock.now() - timedelta(days=1), clock.now(), "nadine")
    assert clerk.office.imports() == []


def test_a_wallet_without_reports_says_so(clerk: Clerk, clock: FixedClock) -> None:
    with pytest.raises(ReconciliationRefused, match="no report"):
        clerk.office.import_api("vodacom", clock.now() - timedelta(days=1), clock.now(), "nadine")
    with pytest.raises(ReconciliationRefused, match="no report"):
        clerk.office.import_api("nobody", clock.now() - timedelta(days=1), clock.now(), "nadine")
    assert clerk.office.fetch_yesterday() == {}
