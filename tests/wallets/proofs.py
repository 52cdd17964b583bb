"""What must hold afterwards, whatever an operator did: compared with its own ledger and its own report."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from core.kernel.money import Money
from core.payments.tables import PaymentRow
from tests.core.settlement.books import check_books
from tests.wallets.fault_town import Case, FaultTown

# What a fault is played with; in seconds of the clock that the test moves, but for `slow`, which really waits.
PARAMS: dict[str, dict[str, Any]] = {
    "slow": {"seconds": 0.3},
    "late_success": {"seconds": 400},
    "clock_skew": {"seconds": 7200},
    "reordered_callbacks": {"seconds": 5},
}
# What only the report may bring to light.
UNTOLD = frozenset({"wrong_amount", "wrong_currency"})


def has_an_end(played: FaultTown, case: Case) -> None:
    """Final, or on somebody's list; and nobody asks any more."""
    attempt = played.attempt(case)
    assert attempt.state in ("succeeded", "failed", "needs_attention"), attempt.state
    assert not attempt.is_open
    assert attempt.next_query_at is None
    assert (attempt.state == "succeeded") == bool(played.payments_of(case))


def books_agree(played: FaultTown) -> Collection[str]:
    """The operator's report is taken in; then all that it ever took is booked, to the franc, or on a person's list.
    Returns the operator's numbers of what is on the list."""
    on_a_list = played.reconcile()
    with played.db.read() as session:
        rows = list(session.scalars(select(PaymentRow)))
        check_books(session)
    disputed = set(on_a_list.values())
    booked = {row.provider_txn_id: row for row in rows if row.id not in disputed}
    assert len(booked) == len(rows) - len(disputed & {row.id for row in rows}), "two without the operator's number"
    for txn, currency, amount, taken_back in played.movements():
        row = booked.pop(txn, None)
        if txn in on_a_list:
            continue
        if row is None:
            # Money that came and went before anybody heard of it.
            assert taken_back, f"{txn}: {amount} {currency} is lost"
            continue
        assert money_of(row) == (currency, Decimal(amount))
        assert (row.reversed_at is not None) == taken_back
    assert booked == {}, "money that the operator never took"
    return on_a_list.keys()


def money_of(row: PaymentRow) -> tuple[str, Decimal]:
    return row.currency, Decimal(Money(row.amount_minor, row.currency).decimal_text(2))


def money_of_entry(entry: Any) -> tuple[str, Decimal]:
    return entry["currency"], Decimal(entry["amount"])
