"""A small utility with people on its payroll, for tests to run a month with."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import date

from sqlalchemy.orm import Session

from core.agents.queries import open_float
from core.agents.tables import AgentRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.ids import new_uuid, verification_code
from core.kernel.money import Money
from core.ledger.model import Account, agent_float, commission_payable
from core.payments.tables import PaymentRow
from core.payroll.model import EmployeeFacts, EmployeeView, Line, Payee, SlipView
from core.services.payroll import Payroll
from core.settlement import post
from core.settlement.events import AgentSale, CashHandedOver, FloatBought, OperatorReversed
from tests import town
from tests.core.settlement.books import Books


def francs(units: int) -> Money:
    return Money.units(units, "CDF")


@dataclass
class Payday:
    """`acts`: what was written into the audit log, (who, act, subject). The clock stands on 10 March 2026."""

    db: Database
    clock: FixedClock
    acts: list[tuple[str, str, str]] = field(default_factory=list)
    _count: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.payroll = Payroll(self.db, self.clock, self._audit)
        self.books = Books(self.db, self.clock)
        with self.db.begin() as session:
            self.agency_id = town.agency(session).id
        self.payroll.rates.write_first()

    def _audit(self, session: Session, actor: str, act: str, subject: str, detail: str = "") -> None:
        self.acts.append((actor, act, subject))

    def facts(self, name: str = "Ilunga Mwamba", base: int = 500_000, **other: object) -> EmployeeFacts:
        given: dict[str, object] = {
            "job": "Releveur", "starts_on": date(2024, 1, 1), "email": "ilunga@exemple.cd", "pay_to": "Rawbank 4410",
            "agency_id": self.agency_id,
        }  # fmt: skip
        return EmployeeFacts(name=name, base=francs(base), **{**given, **other})  # type: ignore[arg-type]

    def employee(self, name: str = "Ilunga Mwamba", base: int = 500_000, **other: object) -> EmployeeView:
        return self.payroll.people.add(self.facts(name, base, **other), by="rita")

    def agent(self, *, float_units: int = 1_000_000, credit: int = 0, currency: str = "CDF") -> int:
        number = next(self._count)
        with self.db.begin() as session:
            row = AgentRow(
                code=f"A{number:03d}", name=f"Kiosque {number}", phone=f"+24381555{7000 + number}",
                agency_id=self.agency_id, currency=currency, credit_limit_minor=credit * 100, pin_hash="x",
                created_at=self.clock.now(),
            )  # fmt: skip
            session.add(row)
            session.flush()
            open_float(session, row)
            if float_units:
                filled = CashHandedOver(
                    key=f"fill:{row.id}", cashier="4", agent_id=row.id, amount=Money.units(float_units, currency)
                )
                post(session, filled, clock=self.clock)
            return row.id

    def sale(self, agent_id: int, *, units: int = 10_000, commission: Money) -> str:
        """One sale of an agent, now; the payment's id."""
        contract_id = self.books.contract()
        payment_id = self.books.payment(francs(units), wallet="agent", contract_id=contract_id)
        self.books.post(
            AgentSale(
                key=f"sale:{payment_id}", payment_id=payment_id, agent_id=agent_id, contract_id=contract_id,
                amount=francs(units), commission=commission,
            )
        )  # fmt: skip
        return payment_id

    def taken_back(self, payment_id: str) -> None:
        with self.db.read() as session:
            contract_id = session.get_one(PaymentRow, payment_id).contract_id
        self.books.post(OperatorReversed(key=f"back:{payment_id}", payment_id=payment_id, contract_id=contract_id))

    def float_reversed(self, agent_id: int, units: int) -> None:
        """Float that was bought by wallet, sold, and then taken back by the operator."""
        with self.db.begin() as session:
            payment = PaymentRow(
                id=new_uuid(), wallet="vodacom", provider_txn_id=new_uuid()[:20], currency="CDF",
                amount_minor=units * 100, payer_phone="+243815559999", received_at=self.clock.now(), found_by="query",
                receipt_number=f"F{next(self._count):06d}", verification_code=verification_code(),
            )  # fmt: skip
            session.add(payment)
            session.flush()
            bought = FloatBought(
                key=payment.id, payment_id=payment.id, wallet="vodacom", agent_id=agent_id, amount=francs(units)
            )
            post(session, bought, clock=self.clock)
        self.sale(agent_id, units=units, commission=francs(0))
        self.books.post(OperatorReversed(key=f"back:{payment.id}", payment_id=payment.id))

    def opened(self, period: str = "2026-02", currency: str = "CDF") -> int:
        return self.payroll.runs.open(period, currency, by="rita")

    def decided(self, period: str = "2026-02", currency: str = "CDF") -> int:
        """A run that its second person has closed; nothing of it was carried out yet."""
        run_id = self.opened(period, currency)
        self.reviewed(run_id)
        self.payroll.runs.close(run_id, self.version(run_id), by="paul")
        return run_id

    def reviewed(self, run_id: int) -> None:
        self.payroll.runs.hand_on(run_id, by="rita")
        self.payroll.runs.looked(run_id, self.version(run_id), by="paul")

    def closed(self, period: str = "2026-02", currency: str = "CDF") -> int:
        run_id = self.decided(period, currency)
        self.payroll.runs.finish(run_id)
        return run_id

    def version(self, run_id: int) -> int:
        return self.payroll.runs.one(run_id).version

    def slip(self, run_id: int, payee: Payee) -> tuple[SlipView, list[Line]]:
        [found] = [slip for slip in self.payroll.runs.slips(run_id) if slip.payee == payee]
        return self.payroll.runs.slip(found.id)

    def commission(self, agent_id: int) -> Money:
        return self.books.balance(commission_payable(agent_id))

    def float_(self, agent_id: int) -> Money:
        return self.books.balance(agent_float(agent_id))

    def owed(self, payee: Payee) -> Money:
        return self.books.balance(Account("payroll_payable", payee.owner))


def said(lines: list[Line]) -> list[tuple[str, int, int]]:
    """(kind, taken, asked) of each line, in whole francs."""
    return [(line.kind, line.amount_minor // 100, line.asked_minor // 100) for line in lines]
