"""Many requests with every kind of luck, then the operator's report: equal to the franc, and nothing twice.

The operator's own list is the truth. What we heard of it is drawn: all, without the number, the contrary, or nothing.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from core.kernel.money import Money
from core.payments.ports import Failed, Paid, Pending, QueryAnswer, Unknown
from core.reconciliation import rules
from core.reconciliation.model import LineView
from tests.core.reconciliation.clerk import Clerk, Line
from tests.core.settlement.books import francs

REQUESTS = 60


@dataclass(frozen=True)
class Truth:
    txn: str
    attempt_id: str
    own: str
    payer: str
    amount: Money


def _heard(luck: random.Random, txn: str, amount: Money, moved: bool) -> QueryAnswer | None:
    """What the operator told us while the customer waited. It never says that money moved when it did not."""
    if moved and luck.random() < 0.5:
        return Paid(luck.choice([txn, txn, None]), luck.choice([amount, None]))
    return luck.choice(
        [Failed("no_funds", "51"), Failed("other", "x", final=False), Unknown("timeout"), Pending(), None]
    )


def _storm(clerk: Clerk, luck: random.Random) -> list[Truth]:
    truth = []
    for number in range(REQUESTS):
        payer, amount = f"+24381{5_560_000 + number:07d}", francs(luck.choice([500, 700, 28_500]))
        attempt_id, own = clerk.asked(payer, amount)
        moved, txn = luck.random() < 0.7, f"TX{number:04d}"
        if moved:
            truth.append(Truth(txn, attempt_id, own, payer, amount))
        heard = _heard(luck, txn, amount, moved)
        if heard is not None:
            clerk.till.ask(attempt_id, heard)
    return truth


def _lines(truth: list[Truth], luck: random.Random, *, own_ids: bool, strays: int) -> list[Line]:
    lines = [
        Line(t.txn, str(t.amount.minor // 100), t.own if own_ids else "", payer=f"24381***{t.payer[-4:]}")
        for t in truth
    ]
    lines += [Line(f"ST{n}", "1234", ref=luck.choice(["?", "BIERE", ""]), payer="") for n in range(strays)]
    luck.shuffle(lines)
    return lines


@pytest.mark.parametrize("seed", range(3))
def test_with_our_ids_in_the_report_all_comes_out_by_itself(any_clerk: Clerk, seed: int) -> None:
    luck = random.Random(seed)
    truth = _storm(any_clerk, luck)
    lines = _lines(truth, luck, own_ids=True, strays=3)
    half = len(lines) // 2
    for name, part in (("one", lines[:half]), ("two", lines[half // 2 :]), ("two", lines[half // 2 :]), ("all", lines)):
        any_clerk.take(*part, name=f"{name}.csv")
    assert any_clerk.lines(open_only=True, limit=500) == []
    assert any_clerk.till.money() == sorted([t.amount.minor for t in truth] + [123_400] * 3)
    assert {any_clerk.till.attempt(t.attempt_id).state for t in truth} == {"succeeded"}
    totals = any_clerk.totals()
    assert (totals.difference, totals.waiting, totals.differs) == (0, 0, 0)
    any_clerk.clock.advance(days=3)
    assert any_clerk.office.ours_only("vodacom") == []
    any_clerk.check()


def _decided(clerk: Clerk, line: LineView, truth: dict[str, Truth]) -> None:
    """A person who can ask the operator."""
    seen, said = clerk.office.line(line.id), truth[line.provider_txn_id or ""]
    assert seen is not None
    asked = [c for c in seen.candidates if c.attempt_id == said.attempt_id]
    had = [c for c in seen.candidates if c.payment_id and clerk.payment(c.payment_id).attempt_id == said.attempt_id]
    if had:
        clerk.office.settle_line(line.id, "match", "Hers.", "nadine", target=had[0].payment_id)
    else:
        assert asked, seen
        clerk.office.settle_line(line.id, "settle", "Hers.", "nadine", target=asked[0].attempt_id)


@pytest.mark.parametrize("seed", range(3))
def test_without_our_ids_nothing_is_booked_twice_and_a_person_ends_it(clerk: Clerk, seed: int) -> None:
    luck = random.Random(100 + seed)
    truth = _storm(clerk, luck)
    clerk.take(*_lines(truth, luck, own_ids=False, strays=3))
    waiting = clerk.lines(open_only=True, limit=500)
    assert {line.note for line in waiting} <= {rules.PERHAPS}
    by_txn = {t.txn: t for t in truth}
    for line in waiting:
        _decided(clerk, line, by_txn)
    assert clerk.till.money() == sorted([t.amount.minor for t in truth] + [123_400] * 3)
    assert (clerk.totals().difference, clerk.totals().waiting) == (0, 0)
    clerk.check()
