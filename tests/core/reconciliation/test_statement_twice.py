"""The same money told a second time: by another report, under another key or number, by another clerk. Booked once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from core.db import Database
from core.kernel.clock import FixedClock
from core.ledger.model import Account, wallet_clearing
from core.payments.answers import BillPayment
from core.payments.ports import Paid, StatementLine
from core.payments.tables import AttemptRow, PaymentRow
from core.reconciliation import queries, rules
from core.reconciliation.errors import ReconciliationRefused
from core.reconciliation.tables import StatementLineRow
from core.services.reconciliation import Reconciliation, imports, matching
from core.services.reconciliation.booking import bring_in
from core.services.reconciliation.marks import lock_payment, take
from tests.core.payments.scripted import BILL
from tests.core.reconciliation.clerk import COLUMNS, DAY, OPTIONS, Clerk, Line, ReportingWallet, as_csv
from tests.core.settlement.books import francs

OTHER = "+243815552222"
WITHOUT_NUMBERS = {name: header for name, header in COLUMNS.items() if name not in ("provider_txn_id", "own_id")}


def _notes(clerk: Clerk) -> list[str]:
    return [line.note for line in clerk.lines()]


# -- another report, another key


def test_a_line_without_a_number_is_booked_once_when_its_report_comes_with_another_column(any_clerk: Clerk) -> None:
    line = Line("", ref=any_clerk.account, payer="")
    any_clerk.take(line)
    account = any_clerk.account.encode()
    wider = as_csv([line]).replace(b"Linked to", b"Linked to,Balance").replace(account + b",", account + b",,777")
    any_clerk.office.import_file("vodacom", "CDF", "wider.csv", wider, COLUMNS, OPTIONS, "nadine")
    assert any_clerk.till.money() == [BILL.minor]
    assert _notes(any_clerk) == ["", rules.TWICE]
    any_clerk.check()


@pytest.mark.parametrize("first", [WITHOUT_NUMBERS, {k: v for k, v in WITHOUT_NUMBERS.items() if k != "reference"}])
def test_a_corrected_mapping_books_nothing_again(any_clerk: Clerk, first: dict[str, str]) -> None:
    data = as_csv([Line("TX9", ref=any_clerk.account, payer="")])
    for columns in (first, COLUMNS):
        any_clerk.office.import_file("vodacom", "CDF", "a.csv", data, columns, OPTIONS, "nadine")
    assert any_clerk.till.money() == [BILL.minor]
    assert _notes(any_clerk) == ["", rules.TWICE]
    any_clerk.check()


def test_a_number_read_from_another_column_books_nothing_again(any_clerk: Clerk) -> None:
    data = as_csv([Line("TX9", orig="SWITCH-9", ref=any_clerk.account)])
    wrong = {**WITHOUT_NUMBERS, "provider_txn_id": "Linked to"}
    del wrong["original_txn_id"]
    for columns in (wrong, COLUMNS):
        any_clerk.office.import_file("vodacom", "CDF", "a.csv", data, columns, OPTIONS, "nadine")
    assert any_clerk.till.money() == [BILL.minor]
    assert _notes(any_clerk) == ["", rules.TWICE]


def test_our_id_in_a_second_report_does_not_settle_what_the_first_one_booked(any_clerk: Clerk) -> None:
    attempt_id, own = any_clerk.asked()
    any_clerk.take(Line("", payer=""))
    any_clerk.take(Line("TX1", own=own, ref="R", at="10/03/2026 09:02:00"), name="better.csv")
    assert any_clerk.till.money() == [BILL.minor]
    line = any_clerk.lines()[-1]
    assert line.note == rules.PERHAPS
    any_clerk.office.settle_line(line.id, "settle", "It is another one.", "nadine", target=attempt_id)
    assert any_clerk.till.money() == [BILL.minor, BILL.minor]
    any_clerk.check()


def test_two_lines_alike_in_one_file_are_two(any_clerk: Clerk) -> None:
    any_clerk.take(Line("", amount="900", payer=""), Line("", amount="900", payer=""))
    assert any_clerk.till.money() == [90_000, 90_000]
    any_clerk.take(Line("", amount="900", payer=""), Line("", amount="900", payer=""), Line("T"), name="more.csv")
    assert len(any_clerk.lines()) == 3


def test_lines_without_numbers_of_other_payers_are_theirs(clerk: Clerk) -> None:
    clerk.take(Line("", amount="900", payer="243815551111"))
    clerk.take(Line("", amount="900", payer=OTHER), Line("", amount="900", at="10/03/2026 11:00:00"), name="more.csv")
    assert clerk.till.money() == [90_000] * 3


def test_a_line_that_came_before_is_left_out_when_a_person_says_so_and_booked_when_it_did_not(clerk: Clerk) -> None:
    clerk.take(Line("", ref=clerk.account, payer=""))
    clerk.take(
        Line("", ref=clerk.account, payer="", orig="7"), Line("", ref=clerk.account, payer="", orig="8"), name="b"
    )
    _, one, two = clerk.lines()
    clerk.office.settle_line(one.id, "accept", "The same line.", "nadine")
    clerk.office.settle_line(two.id, "book", "He paid twice.", "nadine")
    assert clerk.outcomes() == ["theirs_only", "ignored", "theirs_only"]
    assert clerk.till.money() == [BILL.minor, BILL.minor]
    assert clerk.totals().difference == 0
    clerk.check()


# -- what we told with the request, and when money was found


def test_the_reference_that_we_sent_finds_its_request_days_later(any_clerk: Clerk) -> None:
    attempt_id, own = any_clerk.paid(None)
    any_clerk.clock.advance(days=4)
    any_clerk.take(Line("SA12ABCDE3", ref=any_clerk.account + own[-2:], payer="2547 ***** 149"))
    assert any_clerk.outcomes() == ["matched"]
    assert any_clerk.payment_with("SA12ABCDE3").attempt_id == attempt_id
    assert any_clerk.till.money() == [BILL.minor]


def test_a_reference_like_ours_that_no_request_has_clears_no_doubt(any_clerk: Clerk) -> None:
    any_clerk.paid(None)
    any_clerk.take(Line("SA12ABCDE3", ref=any_clerk.account + "00"))
    assert _notes(any_clerk) == [rules.PERHAPS]
    assert any_clerk.till.money() == [BILL.minor]


def test_a_payment_that_was_found_days_later_is_near_when_its_request_was(any_clerk: Clerk) -> None:
    attempt_id, _ = any_clerk.asked()
    any_clerk.clock.advance(days=2)
    any_clerk.till.ask(attempt_id, Paid(None, BILL))
    any_clerk.take(Line("TX1"))
    assert _notes(any_clerk) == [rules.PERHAPS]
    assert any_clerk.till.money() == [BILL.minor]


@pytest.mark.parametrize("mapped", ["10/03/2026", "10/03/2026 00:00:00"])
def test_a_report_with_days_only_is_compared_with_the_whole_day(any_clerk: Clerk, mapped: str) -> None:
    any_clerk.paid("SYS123")
    any_clerk.paid(None, OTHER, francs(700))
    any_clerk.take(Line("MP1", at=mapped), Line("MP2", "700", at=mapped, payer=OTHER), Line("", "900", at=mapped))
    assert _notes(any_clerk) == [rules.PERHAPS, rules.PERHAPS, ""]
    any_clerk.take(Line("MP3", "900", at="10/03/2026 15:00:00"), name="with hours.csv")
    assert _notes(any_clerk)[-1] == rules.TWICE
    assert any_clerk.till.money() == [70_000, 90_000, BILL.minor]


def test_two_requests_under_one_lines_ids_are_a_persons(any_clerk: Clerk) -> None:
    _, one = any_clerk.asked(amount=francs(700))
    second, two = any_clerk.asked(OTHER, francs(800))
    data = as_csv([Line("TX1", own=one, orig=two)])
    columns = {**COLUMNS, "own_id_2": "Linked to"}
    del columns["original_txn_id"]
    any_clerk.office.import_file("vodacom", "CDF", "a.csv", data, columns, OPTIONS, "nadine")
    (line,) = any_clerk.lines()
    assert line.note == rules.PERHAPS
    assert any_clerk.till.money() == []
    seen = any_clerk.office.line(line.id)
    assert seen is not None
    assert second in [c.attempt_id for c in seen.candidates]


# -- two names for one money


def test_money_that_no_line_shows_may_be_this_one_under_any_number(any_clerk: Clerk) -> None:
    any_clerk.paid("SYS123")
    any_clerk.take(Line("MP260310.0901.A00001"))
    (line,) = any_clerk.lines()
    assert line.note == rules.PERHAPS
    assert any_clerk.till.money() == [BILL.minor]
    seen = any_clerk.office.line(line.id)
    assert seen is not None
    (candidate,) = seen.candidates
    any_clerk.office.settle_line(line.id, "match", "One money.", "nadine", target=candidate.payment_id)
    assert any_clerk.payment_with("SYS123").reconciled_at is not None
    any_clerk.check()


def test_a_person_may_say_that_it_is_new_money_all_the_same(any_clerk: Clerk) -> None:
    any_clerk.paid(None)
    any_clerk.take(Line("TX1", ref="?"))
    (line,) = any_clerk.lines()
    assert line.note == rules.PERHAPS
    any_clerk.office.settle_line(line.id, "book", "He paid at the desk too.", "nadine")
    assert any_clerk.till.money() == [BILL.minor, BILL.minor]
    any_clerk.check()


def test_once_its_own_line_shows_the_one_the_other_is_booked_by_itself(any_clerk: Clerk) -> None:
    any_clerk.paid("SYS123")
    any_clerk.take(Line("TX2", ref=any_clerk.account))
    assert _notes(any_clerk) == [rules.PERHAPS]
    any_clerk.take(Line("SYS123"), name="late.csv")
    assert any_clerk.till.money() == [BILL.minor, BILL.minor]
    assert any_clerk.outcomes() == ["theirs_only", "matched"]


def _strangers(count: int) -> list[Line]:
    return [Line(f"ST{n}", str(100 + n), payer="", ref="?") for n in range(count)]


def test_a_report_with_much_new_money_waits_for_a_person(any_clerk: Clerk) -> None:
    _, own = any_clerk.asked(amount=francs(5_000))
    done = any_clerk.take(*_strangers(10), Line("TX1", "5000", own=own))
    assert {line.note for line in any_clerk.lines(open_only=True)} == {rules.HELD}
    assert any_clerk.till.money() == [500_000], "what is surely ours is not held"
    any_clerk.office.match("vodacom")
    any_clerk.take(*_strangers(11), name="longer.csv")
    assert any_clerk.till.money() == [11_000, 500_000]
    (_, view) = any_clerk.office.imports()
    assert (view.id, view.held, view.released_by) == (done.id, 10, None)
    with pytest.raises(ReconciliationRefused):
        any_clerk.office.release(done.id, " ", "nadine")
    any_clerk.office.release(done.id, "The till of the market, by bill number.", "nadine")
    any_clerk.office.release(done.id, "Once more.", "paul")
    assert any_clerk.lines(open_only=True) == []
    assert len(any_clerk.till.money()) == 12
    view = any_clerk.office.imports()[-1]
    assert (view.held, view.released_by) == (0, "nadine")
    assert any_clerk.totals().difference == 0
    any_clerk.check()


def test_one_held_line_is_booked_by_a_persons_word(clerk: Clerk) -> None:
    clerk.take(*_strangers(10))
    clerk.office.settle_line(clerk.lines()[0].id, "book", "This one.", "nadine")
    assert clerk.till.money() == [10_000]
    assert clerk.outcomes() == ["theirs_only", *["differs"] * 9]


def test_a_report_with_little_new_money_is_booked(clerk: Clerk) -> None:
    for n in range(20):
        clerk.till.payments.book_bill("vodacom", BillPayment(f"B{n}", francs(100 + n), "?", None, None))
    known = [Line(f"B{n}", str(100 + n), payer="") for n in range(20)]
    clerk.take(*known, *_strangers(9))
    assert clerk.lines(open_only=True) == []


def test_a_wallet_that_nobody_knows_takes_no_report(clerk: Clerk) -> None:
    with pytest.raises(ReconciliationRefused, match="vodacon"):
        clerk.office.import_file("vodacon", "CDF", "a.csv", as_csv([Line("TX1")]), COLUMNS, OPTIONS, "nadine")
    clerk.paid("TX1")
    clerk.office = Reconciliation(clerk.db, clerk.clock, {}, clerk.till.payments)
    assert clerk.take(Line("TX1")).new == 1


# -- money out


def _payout(number: str | None, clock: FixedClock, key: str = "SETTLEMENT:PO1") -> StatementLine:
    return StatementLine(key, "payout", francs(10_000), clock.now(), provider_txn_id=number)


@pytest.mark.parametrize(("first", "second"), [("PO1", "PO1"), (None, "PO1"), ("PO1", ""), (None, "")])
def test_a_payout_is_booked_once_whatever_its_key(
    clean_db: Database, clock: FixedClock, first: str | None, second: str
) -> None:
    wallet = ReportingWallet()
    clerk = Clerk(clean_db, clock, wallet)
    wallet.report = [_payout(first, clock)]
    clerk.office.import_api("vodacom", clock.now() - timedelta(days=1), clock.now() + timedelta(days=1), "nadine")
    clerk.take(Line(second, amount="10000", kind="Payout", payer=""))
    assert clerk.books.balance(Account("bank")) == francs(10_000)
    assert _notes(clerk) == ["", rules.TWICE]
    clerk.office.settle_line(clerk.lines()[-1].id, "book", "They paid twice that day.", "nadine")
    assert clerk.books.balance(Account("bank")) == francs(20_000)
    clerk.check()


def test_a_fee_is_booked_once_whatever_its_key(any_clerk: Clerk) -> None:
    attempt_id, own = any_clerk.paid("TX1")
    any_clerk.take(Line("TX1", fee="100"), Line("", kind="Fee", amount="15", payer=""))
    any_clerk.take(Line("", own=own, fee="100"), Line("", kind="Fee", amount="15", payer="", orig="7"), name="b.csv")
    assert _notes(any_clerk) == ["", "", rules.TWICE, rules.TWICE]
    any_clerk.clock.advance(days=1)
    any_clerk.office.close_day("vodacom", DAY, "CDF", "Two lines came twice.", "nadine")
    assert any_clerk.books.balance(Account("fees")) == francs(115)
    _, _, line, fee = any_clerk.lines()
    any_clerk.office.settle_line(line.id, "accept", "The same.", "nadine")
    any_clerk.office.settle_line(fee.id, "book", "Another fee.", "nadine")
    any_clerk.clock.advance(days=1)
    any_clerk.office.close_day("vodacom", DAY + timedelta(days=1), "CDF", "", "nadine")
    assert any_clerk.books.balance(Account("fees")) == francs(130)
    assert any_clerk.books.balance(wallet_clearing("vodacom")) == BILL - francs(130)
    assert any_clerk.till.attempt(attempt_id).flag == "statement" or any_clerk.totals().difference == 0
    any_clerk.check()


# -- two at once


def test_what_somebody_settled_meanwhile_is_not_booked(any_clerk: Clerk) -> None:
    any_clerk.paid("TXA")
    any_clerk.take(Line(""))
    (line,) = any_clerk.lines()
    (payment,) = any_clerk.till.rows(PaymentRow)
    any_clerk.office.settle_line(line.id, "match", "Hers.", "nadine", target=payment.id)
    assert not bring_in(any_clerk.office._ctx, line.id, rules.Book())
    assert any_clerk.till.money() == [BILL.minor]


class Watched:
    """A payments service during whose booking somebody else does something."""

    def __init__(self, clerk: Clerk, meanwhile: Any) -> None:
        self._payments, self._meanwhile = clerk.till.payments, meanwhile

    def record_statement(self, attempt_id: str, paid: Paid) -> object:
        self._meanwhile()
        return self._payments.record_statement(attempt_id, paid)

    def book_bill(self, wallet: str, bill: BillPayment, *, found_by: str) -> str | None:
        self._meanwhile()
        return self._payments.book_bill(wallet, bill, found_by=found_by)


def test_while_a_line_is_booked_nobody_settles_it_otherwise(any_clerk: Clerk) -> None:
    any_clerk.paid("TXA")
    any_clerk.take(Line(""))
    (line,) = any_clerk.lines()
    (payment,) = any_clerk.till.rows(PaymentRow)
    office, said = any_clerk.office, []

    def other_clerk() -> None:
        for decision, target in (("match", payment.id), ("accept", None), ("book", None)):
            with pytest.raises(ReconciliationRefused) as refused:
                office.settle_line(line.id, decision, "Mine.", "paul", target=target)  # type: ignore[arg-type]
            said.append(refused.value.text)
        assert office.match("vodacom") == 0

    watched = Reconciliation(
        any_clerk.db, any_clerk.clock, {"vodacom": any_clerk.till.wallet}, Watched(any_clerk, other_clerk)
    )
    watched.settle_line(line.id, "book", "New money.", "nadine")
    assert len(said) == 3
    assert "being booked" in said[0]
    assert any_clerk.till.money() == [BILL.minor, BILL.minor]
    assert (any_clerk.lines()[0].outcome, any_clerk.lines()[0].decided_by) == ("theirs_only", "nadine")


def _copy(clerk: Clerk) -> None:
    """The line of the last report again, under the key of another."""
    with clerk.db.begin() as session:
        row = session.scalars(select(StatementLineRow)).one()
        cells = {c.name: getattr(row, c.name) for c in StatementLineRow.__table__.c if c.name != "id"}
        session.add(StatementLineRow(**cells | {"row_key": "DEPOSIT:other"}))


def test_two_matchers_with_two_lines_of_one_payment(any_clerk: Clerk, monkeypatch: pytest.MonkeyPatch) -> None:
    any_clerk.paid("TX1")
    with monkeypatch.context() as quiet:
        quiet.setattr(imports, "match", lambda *_: 0)
        any_clerk.take(Line("TX1"))
    _copy(any_clerk)
    start = threading.Barrier(2)

    def run() -> None:
        start.wait()
        any_clerk.office.match("vodacom")

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(run) for _ in range(2)]:
            future.result()
    any_clerk.office.match("vodacom")
    assert sorted(any_clerk.outcomes()) == ["differs", "matched"]
    assert rules.TWICE in _notes(any_clerk)


only_postgres = pytest.mark.parametrize(
    "clean_db", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)


@only_postgres
def test_a_payment_held_by_another_matcher_is_left_to_it(any_clerk: Clerk, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite has one writer: only PostgreSQL lets two matchers look at once."""
    clerk = any_clerk
    clerk.paid("TX1")
    with monkeypatch.context() as quiet:
        quiet.setattr(imports, "match", lambda *_: 0)
        clerk.take(Line("TX1"))
    _copy(clerk)
    ctx, (first, second) = clerk.office._ctx, [line.id for line in clerk.lines()]
    with clerk.db.begin() as session:
        line = queries.lock_line(session, first)
        assert line is not None
        assert take(ctx, session, line, clerk.payment_with("TX1").id, adopt=False)
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(matching._match_known, ctx, "vodacom").result() == 0
    assert not matching.settle_one(ctx, second)
    assert clerk.outcomes() == ["matched", "differs"]


@only_postgres
def test_statement_and_answer_about_one_payment_do_not_block_each_other(any_clerk: Clerk) -> None:
    """Both lock the attempt first: the second waits, and neither loses."""
    clerk = any_clerk
    attempt_id, _ = clerk.paid(None)
    (payment,) = clerk.till.rows(PaymentRow)
    held, go = threading.Event(), threading.Event()

    def statement() -> None:
        with clerk.db.begin() as session:
            lock_payment(session, payment.id)
            held.set()
            assert go.wait(60)
            session.get_one(AttemptRow, attempt_id, with_for_update={"key_share": True}).flag = "statement"

    def answer() -> None:
        assert held.wait(60)
        clerk.till.payments.record_statement(attempt_id, Paid("T77", BILL))

    def waits() -> bool:
        with clerk.db.read() as session:
            return bool(session.connection().exec_driver_sql(_WAITING).scalar())

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(statement), pool.submit(answer)]
        _until(waits)
        go.set()
        for future in both:
            future.result()
    assert clerk.payment_with("T77").attempt_id == attempt_id


_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def _until(is_so: Any) -> None:
    tick = threading.Event()
    for _ in range(100):
        if is_so():
            return
        tick.wait(0.01)


def test_the_database_itself_keeps_two_lines_from_one_payment(any_clerk: Clerk) -> None:
    any_clerk.paid("TX1")
    any_clerk.take(Line("TX1"))
    with pytest.raises(Exception, match=r"(?i)unique"):
        _copy(any_clerk)
