"""Lines of an operator's report beside our books: what is matched, brought in, taken back, or left to a person."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from core.kernel.ids import own_reference
from core.ledger.model import Account, credit, suspense, wallet_clearing
from core.payments.answers import BillPayment
from core.payments.ports import Failed, Paid, Unknown
from core.payments.tables import RefundRow
from core.reconciliation import rules
from core.reconciliation.errors import ReconciliationRefused
from core.services.reconciliation import Reconciliation
from tests.core.payments.scripted import BILL, PAYER, Killed
from tests.core.reconciliation.clerk import Clerk, Line
from tests.core.settlement.books import francs

OTHER = "+243815552222"


def test_a_line_with_our_number_is_matched_once_whatever_file_brings_it(any_clerk: Clerk) -> None:
    any_clerk.paid("TX1")
    first = any_clerk.take(Line("TX1"))
    assert (first.new, first.known, first.bad, first.repeated) == (1, 0, 0, False)
    again = any_clerk.take(Line("TX1"))
    assert again == replace(first, repeated=True)
    longer = any_clerk.take(Line("TX1"), Line("TX2", payer="", ref="?"), name="week.csv")
    assert (longer.new, longer.known) == (1, 1)
    assert any_clerk.outcomes() == ["matched", "theirs_only"]
    assert any_clerk.payment_with("TX1").reconciled_at == any_clerk.clock.now()
    assert any_clerk.totals().difference == 0
    any_clerk.check()


def test_our_own_id_finds_the_payment_and_gives_it_its_number(any_clerk: Clerk) -> None:
    attempt_id, own = any_clerk.paid(None)
    any_clerk.take(Line("TX7", own=own))
    assert any_clerk.outcomes() == ["matched"]
    payment = any_clerk.payment_with("TX7")
    assert payment.attempt_id == attempt_id
    assert payment.reconciled_at is not None
    assert any_clerk.till.attempt(attempt_id).provider_txn_id == "TX7"
    assert any_clerk.till.money() == [BILL.minor]
    any_clerk.check()


@pytest.mark.parametrize(
    "said", [Failed("no_funds", "51"), Failed("cancelled", "12", final=False), Unknown("timeout")], ids=str
)
def test_what_only_the_operator_knew_settles_the_request(any_clerk: Clerk, said: Failed | Unknown) -> None:
    attempt_id, own = any_clerk.asked()
    any_clerk.till.ask(attempt_id, said)
    any_clerk.take(Line("TX3", own=own))
    attempt = any_clerk.till.attempt(attempt_id)
    assert (attempt.state, attempt.is_open) == ("succeeded", False)
    assert any_clerk.outcomes() == ["theirs_only"]
    payment = any_clerk.payment_with("TX3")
    assert (payment.found_by, payment.attempt_id, payment.reconciled_at is not None) == ("statement", attempt_id, True)
    assert any_clerk.till.paid() == BILL
    assert any_clerk.office.match("vodacom") == 0
    any_clerk.check()


def test_an_uuid_in_any_spelling_is_our_id(clerk: Clerk) -> None:
    one, _ = clerk.asked()
    two, _ = clerk.asked(OTHER, francs(700))
    clerk.take(Line("TX1", own=one.upper()), Line("TX2", own=two.replace("-", ""), amount="700"))
    assert [clerk.till.attempt(a).state for a in (one, two)] == ["succeeded", "succeeded"]


def test_an_account_number_puts_the_money_on_its_contract(any_clerk: Clerk) -> None:
    spaced = f"{any_clerk.account[:3]} {any_clerk.account[3:]}"
    any_clerk.take(Line("TX4", ref=spaced, payer="", amount="30000"))
    payment = any_clerk.payment_with("TX4")
    assert (payment.contract_id, payment.in_suspense) == (any_clerk.till.contract_id, False)
    assert any_clerk.till.paid() == BILL
    assert any_clerk.books.balance(credit(any_clerk.till.contract_id)) == francs(1_500)
    any_clerk.check()


def test_nobodys_reference_waits_in_suspense(any_clerk: Clerk) -> None:
    any_clerk.take(Line("TX5", ref="BONJOUR", payer=""), Line("", amount="900", ref="", payer=""))
    assert any_clerk.outcomes() == ["theirs_only", "theirs_only"]
    assert any_clerk.books.balance(suspense("vodacom")).minor == -(BILL.minor + 90_000)
    assert any_clerk.totals().difference == 0
    any_clerk.check()


def test_a_different_amount_is_shown_and_never_corrected_by_itself(any_clerk: Clerk) -> None:
    attempt_id, _ = any_clerk.paid("TX1")
    any_clerk.take(Line("TX1", amount="28000"))
    (line,) = any_clerk.lines(open_only=True)
    assert (line.outcome, line.note, line.attempt_id) == ("differs", rules.AMOUNT, attempt_id)
    assert any_clerk.till.attempt(attempt_id).flag == "statement"
    assert any_clerk.payment_with("TX1").reconciled_at is None
    assert any_clerk.till.money() == [BILL.minor]
    with pytest.raises(ReconciliationRefused):
        any_clerk.office.settle_line(line.id, "accept", " ", "nadine")
    any_clerk.office.settle_line(line.id, "accept", "Agreed with the operator by letter.", "nadine")
    assert any_clerk.lines(open_only=True) == []
    assert any_clerk.till.attempt(attempt_id).flag is None
    with pytest.raises(ReconciliationRefused, match="settled already"):
        any_clerk.office.settle_line(line.id, "accept", "again", "nadine")
    assert any_clerk.totals().difference == -50_000
    any_clerk.check()


def test_a_different_currency_differs(clerk: Clerk) -> None:
    clerk.paid("TX1")
    clerk.take(Line("TX1", currency="USD"))
    assert [line.note for line in clerk.lines()] == [rules.CURRENCY]


def test_money_that_may_be_ours_already_is_only_proposed(any_clerk: Clerk) -> None:
    attempt_id, _ = any_clerk.paid(None)
    any_clerk.take(Line("TX1", payer="24381***1111"))
    (line,) = any_clerk.lines()
    assert (line.outcome, line.note) == ("differs", rules.PERHAPS)
    assert any_clerk.till.money() == [BILL.minor]
    seen = any_clerk.office.line(line.id)
    assert seen is not None
    (candidate,) = seen.candidates
    any_clerk.office.settle_line(line.id, "match", "Same payer, same minute.", "nadine", target=candidate.payment_id)
    payment = any_clerk.payment_with("TX1")
    assert (payment.attempt_id, payment.reconciled_at is not None) == (attempt_id, True)
    assert any_clerk.totals().difference == 0
    any_clerk.check()


def test_a_doubtful_request_is_proposed_and_settled_by_a_person(any_clerk: Clerk) -> None:
    attempt_id, _ = any_clerk.asked()
    any_clerk.till.ask(attempt_id, Unknown("timeout"))
    any_clerk.take(Line("TX1", ref=any_clerk.account))
    (line,) = any_clerk.lines()
    assert line.note == rules.PERHAPS
    seen = any_clerk.office.line(line.id)
    assert seen is not None
    assert [c.attempt_id for c in seen.candidates] == [attempt_id]
    any_clerk.office.settle_line(line.id, "settle", "It is hers.", "nadine", target=attempt_id)
    assert any_clerk.till.attempt(attempt_id).state == "succeeded"
    assert any_clerk.outcomes() == ["theirs_only"]
    any_clerk.check()


def test_a_request_that_surely_failed_does_not_keep_an_account_from_its_money(clerk: Clerk) -> None:
    attempt_id, _ = clerk.asked()
    clerk.till.ask(attempt_id, Failed("no_funds", "51"))
    clerk.take(Line("TX1", ref=clerk.account))
    assert clerk.outcomes() == ["theirs_only"]
    assert clerk.till.attempt(attempt_id).state == "failed"


def test_the_same_money_under_two_numbers_is_never_booked_twice_by_itself(any_clerk: Clerk) -> None:
    attempt_id, own = any_clerk.paid("RECEIPT-1")
    any_clerk.take(Line("SWITCH-1", own=own))
    (line,) = any_clerk.lines()
    assert (line.note, line.attempt_id) == (rules.OTHER_NUMBER, attempt_id)
    assert any_clerk.till.money() == [BILL.minor]
    any_clerk.office.settle_line(
        line.id, "match", "Their switch has its own numbers.", "nadine", target=line.payment_id
    )
    assert any_clerk.payment_with("RECEIPT-1").reconciled_at is not None
    any_clerk.check()


def test_two_transactions_that_both_stand_in_the_report_are_two_payments(any_clerk: Clerk) -> None:
    _, own = any_clerk.paid("TX1")
    any_clerk.take(Line("TX2", own=own), Line("TX1", own=own, at="10/03/2026 09:02:00"))
    assert any_clerk.till.money() == [BILL.minor, BILL.minor]
    assert sorted(any_clerk.outcomes()) == ["matched", "theirs_only"]
    assert any_clerk.books.balance(credit(any_clerk.till.contract_id)) == BILL
    any_clerk.check()


def test_a_reversal_takes_the_payment_back_once(any_clerk: Clerk) -> None:
    any_clerk.paid("TX1")
    reversal = Line("RV1", kind="Reversal", orig="TX1", at="10/03/2026 11:00:00")
    any_clerk.take(Line("TX1"), reversal)
    any_clerk.take(reversal, name="again.csv")
    assert any_clerk.outcomes() == ["matched", "matched"]
    assert any_clerk.till.paid() == francs(0)
    assert any_clerk.payment_with("TX1").reversed_at is not None
    any_clerk.take(replace(reversal, txn="RV2"), name="other.csv")
    assert any_clerk.lines()[-1].note == rules.REVERSED_ALREADY
    assert any_clerk.books.balance(wallet_clearing("vodacom")) == francs(0)
    any_clerk.check()


def test_a_payment_that_we_never_heard_of_and_its_reversal_come_in_one_file(any_clerk: Clerk) -> None:
    any_clerk.take(
        Line("RV1", kind="Reversal", orig="TX1", at="10/03/2026 08:30:00"), Line("TX1", ref=any_clerk.account)
    )
    assert any_clerk.outcomes() == ["matched", "theirs_only"]
    assert any_clerk.till.paid() == francs(0)
    any_clerk.check()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (Line("RV1", kind="Reversal", orig="NOBODY"), rules.NO_ORIGINAL),
        (Line("RV1", kind="Reversal", orig="TX1", amount="100"), rules.PARTIAL),
        (Line("RF1", kind="Refund", orig="TX1"), rules.NO_REFUND),
        (Line("PO1", kind="Payout", amount="10", fee="10"), rules.FEE_ABOVE),
    ],
    ids=["unknown", "partial", "refund", "payout"],
)
def test_money_out_that_does_not_fit_is_a_persons(clerk: Clerk, line: Line, why: str) -> None:
    clerk.paid("TX1")
    clerk.take(Line("TX1"), line)
    (open_line,) = clerk.lines(open_only=True)
    assert (open_line.outcome, open_line.note) == ("differs", why)
    assert clerk.till.paid() == BILL
    clerk.office.settle_line(open_line.id, "accept", "Seen.", "nadine")
    clerk.check()


def test_a_refund_made_at_the_portal_is_a_reversal_when_a_person_says_so(any_clerk: Clerk) -> None:
    any_clerk.paid("TX1")
    any_clerk.take(Line("TX1"), Line("RF1", kind="Refund", orig="TX1"))
    (line,) = any_clerk.lines(open_only=True)
    payment = any_clerk.payment_with("TX1")
    any_clerk.office.settle_line(line.id, "reverse", "Given back at the portal.", "nadine", target=payment.id)
    assert any_clerk.till.paid() == francs(0)
    assert any_clerk.totals().difference == 0
    any_clerk.check()


@pytest.mark.parametrize("kind", ["Refund", "Reversal"])
@pytest.mark.parametrize("known_by", ["own", "original"])
def test_a_refund_line_matches_our_refund_also_where_the_operator_calls_it_a_reversal(
    clerk: Clerk, known_by: str, kind: str
) -> None:
    clerk.paid("TX1")
    payment = clerk.payment_with("TX1")
    refund = RefundRow(
        id="0b9f0f4e-6b1d-4c0e-9f0a-2f9d6c1d2e3f", own_ref=own_reference(), payment_id=payment.id, wallet="vodacom",
        contract_id=clerk.till.contract_id, source="credit", currency="CDF", amount_minor=50_000, payer_phone=PAYER,
        reason="double", state="pending", is_open=True, requested_by="a", requested_at=clerk.clock.now(),
    )  # fmt: skip
    with clerk.db.begin() as session:
        session.add(refund)
    named = {"own": refund.own_ref} if known_by == "own" else {"orig": "TX1"}
    clerk.take(Line("RF1", kind=kind, amount="500", **named))
    assert clerk.lines()[0].note == rules.REFUND_OPEN
    with clerk.db.begin() as session:
        row = session.scalars(select(RefundRow)).one()
        row.state, row.is_open = "paid", False
    assert clerk.office.match("vodacom") == 1
    (line,) = clerk.lines()
    assert (line.outcome, line.refund_id) == ("matched", refund.id)
    clerk.take(Line("RF2", kind="Refund", amount="500", **named), name="more.csv")
    assert clerk.lines()[-1].note == rules.NO_REFUND


def test_payouts_and_fees_leave_the_clearing_account(any_clerk: Clerk) -> None:
    any_clerk.paid("TX1")
    any_clerk.take(
        Line("TX1", fee="285"),
        Line("PO1", kind="Payout", amount="20000", fee="150", at="10/03/2026 23:00:00"),
        Line("FE1", kind="Fee", amount="15"),
        Line("TU1", kind="Top up", amount="5"),
    )
    assert any_clerk.outcomes() == ["matched", "matched", "matched", "ignored"]
    assert any_clerk.books.balance(Account("bank")) == francs(19_850)
    any_clerk.clock.advance(days=1)
    any_clerk.office.close_day("vodacom", any_clerk.lines()[0].day, "CDF", "", "nadine")
    assert any_clerk.books.balance(Account("fees")) == francs(450)
    assert any_clerk.books.balance(wallet_clearing("vodacom")) == francs(8_200)
    totals = any_clerk.totals()
    assert (totals.difference, totals.paid_out, totals.fees) == (0, 1_985_000, 45_000)
    any_clerk.check()


def test_a_second_line_for_one_payment_is_a_persons(clerk: Clerk) -> None:
    _, own = clerk.paid("TX1")
    clerk.take(Line("TX1"))
    clerk.take(Line("", own=own), name="without numbers.csv")
    assert clerk.lines()[-1].note == rules.TWICE
    assert clerk.till.money() == [BILL.minor]


def test_a_wallet_that_is_not_configured_settles_no_request(clerk: Clerk) -> None:
    _, own = clerk.asked()
    office = Reconciliation(clerk.db, clerk.clock, {}, clerk.till.payments)
    clerk.office = office
    clerk.take(Line("TX1", own=own))
    assert clerk.lines()[0].note == rules.NOT_CONFIGURED


class Dying:
    """A payments service whose process dies after it has booked."""

    def __init__(self, clerk: Clerk) -> None:
        self._clerk = clerk

    def record_statement(self, attempt_id: str, paid: Paid) -> object:
        self._clerk.till.payments.record_statement(attempt_id, paid)
        raise Killed

    def book_bill(self, wallet: str, bill: BillPayment, *, found_by: str) -> str | None:
        self._clerk.till.payments.book_bill(wallet, bill, found_by=found_by)
        raise Killed


def test_a_crash_between_booking_and_writing_it_down_books_nothing_twice(any_clerk: Clerk) -> None:
    _, own = any_clerk.asked(OTHER, francs(700))
    dying = Reconciliation(any_clerk.db, any_clerk.clock, {"vodacom": any_clerk.till.wallet}, Dying(any_clerk))
    whole, any_clerk.office = any_clerk.office, dying
    with pytest.raises(Killed):
        any_clerk.take(Line("TX1", ref=any_clerk.account), Line("TX2", own=own, amount="700"), Line(amount="50"))
    for _ in range(2):
        with pytest.raises(Killed):
            dying.match("vodacom")
    any_clerk.office = whole
    whole.match("vodacom")
    assert any_clerk.outcomes() == ["new", "new", "new"], "somebody may still be booking them"
    any_clerk.clock.advance(seconds=121)
    whole.match("vodacom")
    assert any_clerk.outcomes() == ["theirs_only", "theirs_only", "theirs_only"]
    assert any_clerk.till.money() == [5_000, 70_000, BILL.minor]
    any_clerk.check()


def test_two_clerks_with_the_same_file_at_once(any_clerk: Clerk) -> None:
    any_clerk.paid("TX1")
    _, own = any_clerk.asked(OTHER, francs(700))
    lines = [Line("TX1"), Line("TX2", own=own, amount="700"), Line("TX3", ref="?", payer="", amount="9")]
    start = threading.Barrier(2)

    def take() -> None:
        start.wait()
        any_clerk.take(*lines)

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(take) for _ in range(2)]:
            future.result()
    any_clerk.office.match("vodacom")
    assert len(any_clerk.lines()) == 3
    assert any_clerk.till.money() == [900, 70_000, BILL.minor]
    assert any_clerk.totals().difference == 0
    any_clerk.check()


def test_ours_only_is_what_no_line_shows_after_the_delay(any_clerk: Clerk) -> None:
    any_clerk.paid("TX1")
    any_clerk.paid("TX2", OTHER, francs(700))
    any_clerk.take(Line("TX1"))
    assert any_clerk.office.ours_only("vodacom") == []
    any_clerk.clock.advance(days=2, minutes=1)
    (missing,) = any_clerk.office.ours_only("vodacom")
    assert (missing.provider_txn_id, missing.amount) == ("TX2", francs(700))
    assert any_clerk.office.ours_only("vodacom", any_clerk.clock.now() - timedelta(days=3)) == []
    assert any_clerk.totals().difference == -70_000


def test_proposals_hold_while_business_time_is_moved(clerk: Clerk) -> None:
    attempt_id, _ = clerk.asked()
    clerk.till.ask(attempt_id, Unknown("timeout"))
    clerk.clock._now += timedelta(days=5)
    clerk.take(Line("TX1", at="15/03/2026 09:01:00"))
    (line,) = clerk.lines()
    assert line.note == rules.PERHAPS
    seen = clerk.office.line(line.id)
    assert seen is not None
    assert [(c.attempt_id, c.at.day) for c in seen.candidates] == [(attempt_id, 15)]
