"""The pure part: what a line means, who a payer may be, and which account somebody may have meant."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.kernel.digits import is_account_number, with_check
from core.kernel.money import Money
from core.reconciliation import proposals, rules
from core.reconciliation.proposals import Lead, ranked, readings
from core.reconciliation.rules import (
    Book,
    Differs,
    Known,
    LineFacts,
    Match,
    OurAttempt,
    OurPayment,
    Settle,
    Twin,
    is_too_much,
    judge_payment,
    payer_tail,
    same_line,
    same_payer,
)

AT = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)
MONEY = Money.units(500, "CDF")
LINE = LineFacts("payment", MONEY, AT, "TX1", payer="243815551111")
OURS = OurPayment("p", MONEY, AT, "TX1", "a", 1, "+243815551111")
ASKED = OurAttempt("a", MONEY, AT, "+243815551111", 1, doubtful=True)
NAMELESS = replace(LINE, provider_txn_id=None)
# Another report's line without a number, booked into suspense.
BOOKED = OurPayment("p", MONEY, AT, f"{rules.OWN_NUMBER}1", payer="243815551111", shown=True)
accounts = st.integers(0, 999_999_999).map(lambda n: with_check(f"{n:09d}"))


@pytest.mark.parametrize(
    ("line", "known", "verdict"),
    [
        (LINE, Known(by_txn=OURS), Match("p")),
        (LINE, Known(by_txn=replace(OURS, shown=True)), Differs(rules.TWICE, "p", "a")),
        (LINE, Known(by_txn=replace(OURS, amount=Money(1, "CDF"))), Differs(rules.AMOUNT, "p", "a")),
        (LINE, Known(by_txn=replace(OURS, amount=Money(50_000, "USD"))), Differs(rules.CURRENCY, "p", "a")),
        (LINE, Known(own_attempt=ASKED), Settle("a")),
        (LINE, Known(own_attempt=ASKED, own_payment=replace(OURS, provider_txn_id=None)), Match("p", adopt=True)),
        (replace(LINE, provider_txn_id=None), Known(own_attempt=ASKED, own_payment=OURS), Match("p")),
        (LINE, Known(own_attempt=ASKED, own_payment=replace(OURS, provider_txn_id="X")),
         Differs(rules.OTHER_NUMBER, "p", "a")),
        (LINE, Known(own_attempt=ASKED, own_payment=replace(OURS, provider_txn_id="X"), other_txn_shown=True),
         Settle("a")),
        (LINE, Known(), Book()),
        (LINE, Known(near_attempts=[ASKED]), Differs(rules.PERHAPS)),
        (LINE, Known(near_attempts=[replace(ASKED, payer="+243815559999")]), Book()),
        (LINE, Known(near_attempts=[replace(ASKED, doubtful=False)]), Differs(rules.PERHAPS)),
        (LINE, Known(near_attempts=[replace(ASKED, doubtful=False)], account_contract=1), Book()),
        (LINE, Known(near_attempts=[ASKED], account_contract=1), Differs(rules.PERHAPS)),
        (LINE, Known(near_attempts=[ASKED], account_contract=2), Book()),
        (LINE, Known(several=True), Differs(rules.PERHAPS)),
        # Operators have several numbers for one money: what no line shows may be this.
        (LINE, Known(near_payments=[replace(OURS, provider_txn_id="OTHER")]), Differs(rules.PERHAPS)),
        (LINE, Known(near_payments=[replace(OURS, provider_txn_id="OTHER", shown=True)]), Book()),
        (LINE, Known(near_payments=[replace(OURS, provider_txn_id=None, shown=True)]), Differs(rules.PERHAPS)),
        (LINE, Known(near_payments=[replace(OURS, provider_txn_id=None, shown=True, same_report=True)]), Book()),
        (NAMELESS, Known(near_payments=[replace(OURS, shown=True)]), Differs(rules.PERHAPS)),
        (NAMELESS, Known(near_payments=[replace(OURS, shown=True, same_report=True)]), Book()),
        (LINE, Known(twins=[Twin(NAMELESS, "p", "a")]), Differs(rules.TWICE, "p", "a")),
        (LINE, Known(twins=[Twin(replace(LINE, provider_txn_id="TX2"), "p")]), Book()),
        (LINE, Known(own_attempt=ASKED, twins=[Twin(NAMELESS)]), Differs(rules.TWICE)),
        (LINE, Known(own_attempt=ASKED, near_payments=[BOOKED]), Differs(rules.PERHAPS, None, "a")),
        (LINE, Known(own_attempt=ASKED, near_payments=[replace(BOOKED, same_report=True)]), Settle("a")),
        (LINE, Known(near_payments=[replace(OURS, provider_txn_id=None)]), Differs(rules.PERHAPS)),
        (LINE, Known(near_payments=[replace(OURS, provider_txn_id=None)], account_contract=2), Book()),
        (LINE, Known(near_payments=[replace(OURS, provider_txn_id=None, at=AT + timedelta(minutes=31))]), Book()),
    ],
)  # fmt: skip
def test_the_table_of_verdicts(line: LineFacts, known: Known, verdict: rules.Verdict) -> None:
    assert judge_payment(line, known) == verdict


facts = st.builds(
    LineFacts,
    kind=st.just("payment"),
    amount=st.sampled_from([MONEY, Money(1, "CDF"), Money(50_000, "USD")]),
    at=st.sampled_from([AT, AT + timedelta(minutes=10), AT + timedelta(days=1)]),
    provider_txn_id=st.sampled_from([None, "TX1", "TX2"]),
    payer=st.sampled_from([None, "243815551111", "2438***1111", "+243815559999"]),
)
payments = st.builds(
    OurPayment,
    id=st.sampled_from(["p", "q"]),
    amount=st.sampled_from([MONEY, Money(1, "CDF")]),
    at=st.just(AT),
    provider_txn_id=st.sampled_from([None, "TX1", "TX2", "TX3"]),
    attempt_id=st.sampled_from([None, "a"]),
    contract_id=st.sampled_from([None, 1, 2]),
    payer=st.sampled_from([None, "+243815551111"]),
    shown=st.booleans(),
)
attempts = st.builds(
    OurAttempt,
    id=st.sampled_from(["a", "b"]),
    amount=st.sampled_from([MONEY, Money(1, "CDF")]),
    at=st.just(AT),
    payer=st.sampled_from([None, "+243815551111"]),
    contract_id=st.sampled_from([None, 1, 2]),
    doubtful=st.booleans(),
)
knowns = st.builds(
    Known,
    by_txn=st.none() | payments,
    own_attempt=st.none() | attempts,
    own_payment=st.none() | payments,
    other_txn_shown=st.booleans(),
    near_payments=st.lists(payments, max_size=2),
    near_attempts=st.lists(attempts, max_size=2),
    account_contract=st.sampled_from([None, 1, 2]),
    several=st.booleans(),
    twins=st.lists(st.builds(Twin, facts, st.none() | st.just("p")), max_size=2),
)


@given(facts, knowns)
def test_money_is_matched_only_to_the_same_money_and_never_booked_beside_it(line: LineFacts, known: Known) -> None:
    verdict = judge_payment(line, known)
    ours = {p.id: p for p in (known.by_txn, known.own_payment) if p is not None}
    match verdict:
        case Match(payment_id, adopt):
            candidates = [p for p in (known.by_txn, known.own_payment) if p is not None and p.id == payment_id]
            assert any(p.amount == line.amount and not p.shown for p in candidates)
            assert not adopt or line.provider_txn_id is not None
        case Book():
            # New money is only what nothing of ours has a claim to.
            assert not ours or (known.by_txn is None and known.own_attempt is None)
            assert not known.several
            assert not any(same_line(line, twin.line) for twin in known.twins)
        case Settle(attempt_id):
            assert known.own_attempt is not None
            assert attempt_id == known.own_attempt.id
            assert known.own_payment is None or known.other_txn_shown
            assert not any(same_line(line, twin.line) for twin in known.twins)
        case Differs(why):
            assert why


CELLS = {"Time": "09:00", "Sum": "500", "Number": "77", "Payer": "0815551111"}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (LINE, LINE, True),
        (LINE, replace(LINE, provider_txn_id="TX2"), False),
        (LINE, replace(LINE, amount=Money(1, "CDF")), False),
        (LINE, NAMELESS, True),
        (NAMELESS, NAMELESS, True),
        (NAMELESS, replace(NAMELESS, at=AT + timedelta(minutes=31)), False),
        (NAMELESS, replace(NAMELESS, payer="243815559999"), False),
        (NAMELESS, replace(NAMELESS, payer=None), True),
        (replace(NAMELESS, reference="A 1"), replace(NAMELESS, reference="a1", payer="243815559999"), True),
        (replace(NAMELESS, reference="A1"), NAMELESS, False),
        (replace(NAMELESS, own_ids=("x", "y")), replace(NAMELESS, own_ids=("y",)), True),
        (replace(NAMELESS, own_ids=("x",)), replace(NAMELESS, own_ids=("y",)), False),
        # The number read from another column, or a column more: the row says it.
        (replace(LINE, raw=CELLS), replace(LINE, raw=CELLS, provider_txn_id="77"), True),
        (replace(LINE, raw=CELLS), replace(LINE, raw=CELLS | {"Balance": "9"}, provider_txn_id="77"), True),
        (replace(LINE, raw=CELLS), replace(LINE, raw=CELLS | {"Number": "78"}, provider_txn_id="78"), False),
        (replace(LINE, raw={"Sum": "500"}), replace(LINE, raw={"Sum": "500"}, provider_txn_id="77"), False),
    ],
)
def test_when_two_lines_of_two_reports_are_one(one: LineFacts, other: LineFacts, same: bool) -> None:
    assert same_line(one, other) is same_line(other, one) is same


@pytest.mark.parametrize(
    ("one", "other", "is_about"),
    [
        (AT, AT + timedelta(minutes=30), True),
        (AT, AT + timedelta(minutes=31), False),
        (datetime(2026, 3, 9, 23, tzinfo=UTC), datetime(2026, 3, 10, 22, 59, tzinfo=UTC), True),
        (datetime(2026, 3, 9, 23, tzinfo=UTC), datetime(2026, 3, 11, 0, tzinfo=UTC), False),
        (datetime(2026, 3, 9, 23, 0, 1, tzinfo=UTC), datetime(2026, 3, 10, 10, tzinfo=UTC), False),
        (datetime(2026, 3, 10, 12, tzinfo=UTC), datetime(2026, 3, 10, 22, tzinfo=UTC), False),
    ],
)
def test_when_two_times_may_be_one(one: datetime, other: datetime, is_about: bool) -> None:
    assert rules.about(one, other) is rules.about(other, one) is is_about


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_every_day_that_a_moment_may_be_told_as_is_about_it(at: datetime) -> None:
    for start in rules.day_starts(at):
        assert rules.is_day_only(start)
        assert rules.about(start, at)
        low, high = rules.span(start)
        assert low <= at <= high


def test_how_much_new_money_is_too_much() -> None:
    assert not is_too_much(9, 9)
    assert is_too_much(10, 199)
    assert not is_too_much(10, 200)


@pytest.mark.parametrize(
    ("payer", "tail"),
    [
        ("+243815551111", "815551111"),
        ("24381***5678", "5678"),
        ("254708***149 - JOHN DOE", "149"),
        ("0815 55 11 11", "815551111"),
        ("2438XXXX999", "999"),
        ("12", None),
        ("", None),
        (None, None),
        ("JOHN", None),
        ("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", None),
    ],
)
def test_what_is_left_of_a_payers_number(payer: str | None, tail: str | None) -> None:
    assert payer_tail(payer) == tail


@given(st.integers(0, 999_999_999), st.integers(3, 6))
def test_a_masked_number_fits_its_own(number: int, kept: int) -> None:
    whole = f"+243{number:09d}"
    assert same_payer(whole, "2438****" + whole[-kept:]) is True
    assert same_payer(whole, None) is None
    other = f"{(number + 1) % 10:01d}"
    assert same_payer(whole, "****" + whole[-4:-1] + other) is False


@given(accounts)
def test_the_number_itself_comes_first(account: str) -> None:
    assert readings(account)[0] == proposals.Reading(account, proposals.EXACT)
    assert readings(f" {account[:3]}-{account[3:6]} {account[6:]} ")[0].account == account
    assert readings(f"FACTURE {account}")[0].account == account
    assert readings(account.replace("0", "O").replace("1", "l"))[0].account == account


@given(accounts, st.integers(0, 9), st.integers(1, 9))
def test_one_wrong_digit_is_found_and_all_readings_are_accounts(account: str, at: int, by: int) -> None:
    wrong = account[:at] + str((int(account[at]) + by) % 10) + account[at + 1 :]
    found = [r.account for r in readings(wrong)]
    assert account in found
    assert len(found) == len(set(found)) <= 20
    assert all(is_account_number(number) for number in found)


@given(accounts, st.integers(0, 8))
def test_swapped_missing_and_doubled_digits_are_found(account: str, at: int) -> None:
    swapped = account[:at] + account[at + 1] + account[at] + account[at + 2 :]
    for typed in (swapped, account[:at] + account[at + 1 :], account[:at] + account[at] + account[at:]):
        assert account in [r.account for r in readings(typed)]


@given(st.text(max_size=40))
def test_nothing_that_is_typed_makes_it_fall_over(text: str) -> None:
    assert all(is_account_number(r.account) for r in readings(text))
    number = proposals.customer_number(text)
    assert number is None or number >= 0


def test_reasons_add_up_and_contracts_that_cannot_take_the_money_come_last() -> None:
    leads = [
        Lead(1, "A", "Mbuyi", proposals.ONE_WRONG, True),
        Lead(2, "B", "Kalala", proposals.PHONE, True),
        Lead(1, "A", "Mbuyi", proposals.PHONE, True),
        Lead(3, "C", "Ilunga", proposals.EXACT, False),
    ]
    assert [(p.contract_id, p.why, p.score) for p in ranked(leads)] == [
        (1, proposals.PHONE, 80),
        (2, proposals.PHONE, 70),
        (3, proposals.EXACT, 100),
    ]
    assert ranked([]) == ()
