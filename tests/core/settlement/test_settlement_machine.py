"""Random events in random order against a model of plain dictionaries that shares no code with the books."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.db import Database
from core.db.tables import metadata
from core.kernel.clock import FixedClock
from core.kernel.errors import StateConflict
from core.kernel.money import Money
from core.ledger.errors import BelowFloor
from core.ledger.model import Account
from core.settlement import events as e
from tests.core.settlement.books import Books

UNITS = st.integers(1, 400)
CONTRACTS = st.integers(0, 1)


@cache
def _template() -> Path:
    """A closed database with every table, made once and copied for each story."""
    path = Path(tempfile.mkdtemp(prefix="mwolo-machine-")) / "template.db"
    db = Database(f"sqlite:///{path}")
    metadata.create_all(db.engine)
    db.dispose()
    atexit.register(shutil.rmtree, path.parent, ignore_errors=True)
    return path


@dataclass
class Naive:
    """What a careful clerk would write: invoices as [owed, paid], everything in francs."""

    invoices: dict[int, list[int]] = field(default_factory=dict)
    of: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    credit: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    went: dict[str, list[tuple[int, int | None, int]]] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    placed_on: dict[str, int] = field(default_factory=dict)
    float_held: int = 0
    clearing: int = 0
    suspense: int = 0
    owed_back: int = 0
    # refund: (payment or None, contract or None, units), and those that failed.
    leaving: list[tuple[str, int | None, int]] = field(default_factory=list)
    failed: list[tuple[str, int | None, int]] = field(default_factory=list)
    lost: int = 0
    # contract → invoice → [what credit paid on it, the day that last changed].
    used: dict[int, dict[int, list[int]]] = field(default_factory=lambda: defaultdict(dict))
    day: int = 0

    def use(self, c: int, invoice_id: int, units: int) -> None:
        kept = self.used[c].setdefault(invoice_id, [0, 0])
        kept[0] += units
        kept[1] = self.day

    def make_good(self, c: int, missing: int) -> None:
        """Credit is gone that had paid invoices: the newest uses are undone, until none is missing."""
        newest_first = sorted(self.used[c], key=lambda i: (self.used[c][i][1], i), reverse=True)
        for i in newest_first:
            back = min(self.used[c][i][0], max(missing, 0))
            if back:
                self.use(c, i, -back)
                self.invoices[i][1] -= back
                self.credit[c] += back
                missing -= back

    def place(self, c: int, units: int, chosen: tuple[int, ...] = ()) -> list[tuple[int, int | None, int]]:
        """Chosen first, then oldest; the rest is credit. Returns what went where: (contract, invoice, units)."""
        gone: list[tuple[int, int | None, int]] = []
        still_open = [i for i in self.of[c] if self.invoices[i][0] > self.invoices[i][1]]
        for i in [i for i in chosen if i in still_open] + [i for i in still_open if i not in chosen]:
            part = min(units, self.invoices[i][0] - self.invoices[i][1])
            if part:
                self.invoices[i][1] += part
                gone.append((c, i, part))
                units -= part
        if units:
            self.credit[c] += units
            gone.append((c, None, units))
        return gone


class Settlement(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="mwolo-machine-")
        path = Path(self.folder.name) / "books.db"
        shutil.copyfile(_template(), path)
        self.db = Database(f"sqlite:///{path}")
        self.books = Books(self.db, FixedClock(datetime(2026, 3, 10, 8, 0, tzinfo=UTC)))
        self.naive = Naive()
        self.contracts = [self.books.contract(), self.books.contract(phone="+243815557777")]
        self.number = 0
        # A month that every story shares, so that none is about nothing: two invoices, one overpaid.
        for units in (60, 40):
            self.send_an_invoice(0, units)
        self.pay_by_wallet(0, 130, False)
        self.send_an_invoice(1, 90)

    def teardown(self) -> None:
        if hasattr(self, "db"):
            self.db.dispose()
            self.folder.cleanup()

    def key(self) -> str:
        self.number += 1
        return f"event:{self.number}"

    @staticmethod
    def francs(units: int) -> Money:
        return Money.units(units, "CDF")

    @rule(c=CONTRACTS, units=UNITS)
    def send_an_invoice(self, c: int, units: int) -> None:
        invoice_id = self.books.invoice(self.contracts[c], self.francs(units), tax_minor=units * 10)
        used = min(max(self.naive.credit[c], 0), units)
        self.naive.invoices[invoice_id] = [units, used]
        self.naive.of[c].append(invoice_id)
        self.naive.credit[c] -= used
        if used:
            self.naive.use(c, invoice_id, used)

    @rule(c=CONTRACTS, units=UNITS, backwards=st.booleans())
    def pay_by_wallet(self, c: int, units: int, backwards: bool) -> None:
        chosen = tuple(reversed(self.naive.of[c][-2:])) if backwards else ()
        payment = self.books.pay(self.contracts[c], self.francs(units), chosen=chosen)
        self.naive.clearing += units
        self.naive.went[payment] = self.naive.place(c, units, chosen)

    @precondition(lambda self: self.naive.went)
    @rule(data=st.data())
    def the_operator_takes_it_back(self, data: st.DataObject) -> None:
        payment = data.draw(st.sampled_from(sorted(self.naive.went, key=list(self.naive.went).index)))
        gone = self.naive.went.pop(payment)
        event = e.OperatorReversed(key=self.key(), payment_id=payment, contract_id=self.contracts[gone[0][0]])
        self.books.post(event)
        for c, invoice_id, units in gone:
            if invoice_id is None:
                missing = units - max(self.naive.credit[c], 0)
                self.naive.credit[c] -= units
                self.naive.make_good(c, missing)
            else:
                self.naive.invoices[invoice_id][1] -= units
            self.naive.clearing -= units
        again = e.OperatorReversed(key=self.key(), payment_id=payment, contract_id=event.contract_id)
        with pytest.raises(StateConflict):
            self.books.post(again)

    @rule(units=UNITS)
    def money_nobody_knows(self, units: int) -> None:
        payment = self.books.payment(self.francs(units), in_suspense=True)
        self.books.post(
            e.UnplacedMoney(key=self.key(), payment_id=payment, wallet="vodacom", amount=self.francs(units))
        )
        self.naive.waiting[payment] = units
        self.naive.clearing += units
        self.naive.suspense += units

    @precondition(lambda self: self.naive.waiting)
    @rule(data=st.data(), c=CONTRACTS)
    def somebody_places_it(self, data: st.DataObject, c: int) -> None:
        payment = data.draw(st.sampled_from(sorted(self.naive.waiting, key=list(self.naive.waiting).index)))
        units = self.naive.waiting[payment]
        if not units:
            return
        event = e.SuspensePlaced(
            key=self.key(),
            payment_id=payment,
            wallet="vodacom",
            contract_id=self.contracts[c],
            amount=self.francs(units),
        )
        if self.naive.placed_on.setdefault(payment, c) != c:
            # A refund of the rest failed and came back: it follows the first part.
            with pytest.raises(StateConflict):
                self.books.post(event)
            return
        self.books.post(event)
        self.naive.waiting[payment] = 0
        self.naive.suspense -= units
        self.naive.place(c, units)

    @rule(units=UNITS)
    def an_agent_hands_over_cash(self, units: int) -> None:
        self.books.post(e.CashHandedOver(key=self.key(), cashier="4", agent_id=9, amount=self.francs(units)))
        self.naive.float_held += units

    @rule(c=CONTRACTS, units=UNITS)
    def an_agent_sells(self, c: int, units: int) -> None:
        payment = self.books.payment(self.francs(units), wallet="agent", contract_id=self.contracts[c])
        event = e.AgentSale(
            key=self.key(), payment_id=payment, agent_id=9, contract_id=self.contracts[c], amount=self.francs(units)
        )
        if units > self.naive.float_held:
            with pytest.raises(BelowFloor):
                self.books.post(event)
            return
        self.books.post(event)
        self.naive.float_held -= units
        self.naive.place(c, units)

    @precondition(lambda self: self.naive.invoices)
    @rule(data=st.data(), share=st.integers(1, 100))
    def an_invoice_is_corrected(self, data: st.DataObject, share: int) -> None:
        invoice_id = data.draw(st.sampled_from(sorted(self.naive.invoices)))
        total, paid = self.naive.invoices[invoice_id]
        units = max(1, total * share // 100)
        c = next(c for c, ids in self.naive.of.items() if invoice_id in ids)
        self.books.post(
            e.CreditNote(
                key=self.key(), invoice_id=invoice_id, contract_id=self.contracts[c], amount=self.francs(units)
            )
        )
        on_invoice = min(units, total - paid)
        self.naive.invoices[invoice_id][1] += on_invoice
        self.naive.credit[c] += units - on_invoice

    @precondition(lambda self: self.naive.invoices)
    @rule(data=st.data())
    def a_debt_is_given_up(self, data: st.DataObject) -> None:
        invoice_id = data.draw(st.sampled_from(sorted(self.naive.invoices)))
        total, paid = self.naive.invoices[invoice_id]
        c = next(c for c, ids in self.naive.of.items() if invoice_id in ids)
        self.books.post(
            e.WrittenOff(
                key=self.key(), invoice_id=invoice_id, contract_id=self.contracts[c], amount=self.francs(total)
            )
        )
        self.naive.invoices[invoice_id][1] = total
        self.naive.lost += total - paid

    @rule(c=CONTRACTS, units=UNITS)
    def credit_is_used(self, c: int, units: int) -> None:
        self.books.post(e.CreditApplied(key=self.key(), contract_id=self.contracts[c], amount=self.francs(units)))
        spend = min(units, max(self.naive.credit[c], 0))
        self.naive.credit[c] -= spend
        # What no invoice takes comes back as credit.
        for _, invoice_id, part in self.naive.place(c, spend):
            if invoice_id is not None:
                self.naive.use(c, invoice_id, part)

    @precondition(lambda self: self.naive.went)
    @rule(data=st.data(), units=UNITS)
    def a_refund_is_approved(self, data: st.DataObject, units: int) -> None:
        payment = data.draw(st.sampled_from(sorted(self.naive.went, key=list(self.naive.went).index)))
        c = self.naive.went[payment][0][0]
        owed = e.RefundOwed(key=self.key(), contract_id=self.contracts[c], amount=self.francs(units))
        if units > self.naive.credit[c]:
            with pytest.raises(StateConflict):
                self.books.post(owed)
            return
        self.books.post(owed)
        self.naive.credit[c] -= units
        self.naive.owed_back += units
        self.naive.leaving.append((payment, c, units))

    @precondition(lambda self: self.naive.waiting)
    @rule(data=st.data(), units=UNITS)
    def a_refund_of_unplaced_money_is_approved(self, data: st.DataObject, units: int) -> None:
        payment = data.draw(st.sampled_from(sorted(self.naive.waiting, key=list(self.naive.waiting).index)))
        owed = e.SuspenseRefundOwed(key=self.key(), payment_id=payment, wallet="vodacom", amount=self.francs(units))
        if units > self.naive.waiting[payment]:
            with pytest.raises(StateConflict):
                self.books.post(owed)
            return
        self.books.post(owed)
        self.naive.waiting[payment] -= units
        self.naive.suspense -= units
        self.naive.owed_back += units
        self.naive.leaving.append((payment, None, units))

    @precondition(lambda self: self.naive.leaving)
    @rule(data=st.data(), paid=st.booleans())
    def the_operator_says_what_became_of_a_refund(self, data: st.DataObject, paid: bool) -> None:
        payment, c, units = self.naive.leaving.pop(data.draw(st.integers(0, len(self.naive.leaving) - 1)))
        contract_id = None if c is None else self.contracts[c]
        amount = self.francs(units)
        self.naive.owed_back -= units
        if paid:
            self.books.post(e.RefundPaid(key=self.key(), wallet="vodacom", contract_id=contract_id, amount=amount))
            self.naive.clearing -= units
            return
        self.books.post(
            e.RefundFailed(key=self.key(), payment_id=payment, wallet="vodacom", contract_id=contract_id, amount=amount)
        )
        self.naive.failed.append((payment, c, units))
        if c is None:
            self.naive.waiting[payment] += units
            self.naive.suspense += units
        else:
            self.naive.credit[c] += units

    @precondition(lambda self: self.naive.failed)
    @rule(data=st.data(), c=CONTRACTS)
    def a_failed_refund_was_paid_all_the_same(self, data: st.DataObject, c: int) -> None:
        payment, source, units = self.naive.failed.pop(data.draw(st.integers(0, len(self.naive.failed) - 1)))
        if source is None and self.naive.waiting[payment] >= units:
            contract_id = None
            self.naive.waiting[payment] -= units
            self.naive.suspense -= units
        else:
            c = c if source is None else source
            contract_id = self.contracts[c]
            self.naive.credit[c] -= units
        self.books.post(
            e.RefundPaidLate(
                key=self.key(),
                payment_id=payment,
                wallet="vodacom",
                contract_id=contract_id,
                amount=self.francs(units),
            )
        )
        self.naive.clearing -= units

    @rule(days=st.integers(1, 20))
    def time_passes(self, days: int) -> None:
        self.books.clock.advance(days=days)
        self.naive.day += days

    @invariant()
    def the_books_say_what_the_clerk_says(self) -> None:
        if not hasattr(self, "naive"):
            return
        self.books.check()
        for invoice_id, (_, paid) in self.naive.invoices.items():
            assert self.books.paid(invoice_id) == self.francs(paid)
        for c, contract_id in enumerate(self.contracts):
            assert self.books.balance(Account("credit", str(contract_id))) == self.francs(self.naive.credit[c])
            owed = sum(self.naive.invoices[i][0] - self.naive.invoices[i][1] for i in self.naive.of[c])
            assert self.books.balance(Account("receivable", str(contract_id))) == self.francs(owed)
        assert self.books.balance(Account("agent_float", "9")) == self.francs(self.naive.float_held)
        assert self.books.balance(Account("wallet_clearing", "vodacom")) == self.francs(self.naive.clearing)
        assert self.books.balance(Account("suspense", "vodacom")) == self.francs(-self.naive.suspense)
        assert self.books.balance(Account("write_off")) == self.francs(self.naive.lost)
        assert self.books.balance(Account("refund_payable")) == self.francs(-self.naive.owed_back)
        for payment, units in self.naive.waiting.items():
            assert self.books.in_suspense(payment) == (units > 0)


Settlement.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestSettlement = Settlement.TestCase
