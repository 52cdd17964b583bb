"""Employees, and the bonuses and deductions of employees and agents. Each act with its audit row."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.agents.tables import AgentRow
from core.billing.queries import next_number
from core.customers.tables import AgencyRow
from core.i18n import LANGUAGES
from core.kernel.money import Money
from core.notices.mailing import is_address
from core.payroll import queries, rules
from core.payroll.errors import PayrollRefused
from core.payroll.model import EmployeeFacts, EmployeeView, ItemKind, ItemView, Payee, SlipView
from core.payroll.tables import EmployeeRow, PayItemRow
from core.phone_numbers import parse_e164
from core.services.payroll.context import Context

_DEPENDANTS_MOST = 20
# What comes again within this time, word for word, is one form that was sent twice.
_SAME_FORM = timedelta(minutes=5)
# Far more than anybody is paid, far less than a column holds.
_MOST_MINOR = 10**14
_SHOWN = ("name", "job", "base", "starts_on", "ends_on", "active", "pay_to", "dependants", "agency_id")


class People:
    """Owns its transactions. `by` is a staff login."""

    def __init__(self, context: Context) -> None:
        self._ctx = context

    def add(self, facts: EmployeeFacts, *, by: str) -> EmployeeView:
        """A new employee; who was written down in the same words a moment ago is the same. Raises PayrollRefused."""
        facts = _checked(facts)
        try:
            with self._ctx.db.begin() as session:
                _check_agency(session, facts.agency_id)
                # Whoever waits for the series behind a twin of this form sees below what that one made.
                number = facts.number or _next_number(session)
                twin = None if facts.number else self._twin(session, facts)
                if twin is not None:
                    return twin
                row = EmployeeRow(number=number, created_at=self._ctx.clock.now())
                _write(row, facts)
                session.add(row)
                session.flush()
                told = f"{facts.name}, {facts.job}, {facts.base} from {facts.starts_on}"
                self._ctx.audit(session, by, "employee.created", number, told)
                return _one(session, row.id)
        except IntegrityError as error:
            raise PayrollRefused("number_taken") from error

    def _twin(self, session: Session, facts: EmployeeFacts) -> EmployeeView | None:
        """Who was made in the same words just now: a form was sent twice, and nobody is to be paid twice."""
        since = self._ctx.clock.now() - _SAME_FORM
        made = session.scalars(
            select(EmployeeRow.id).where(EmployeeRow.created_at >= since, EmployeeRow.name == facts.name)
        )
        found = (_one(session, employee_id) for employee_id in made.all())
        return next((one for one in found if replace(one.facts, number="") == facts), None)

    def change(self, employee_id: int, facts: EmployeeFacts, *, by: str) -> EmployeeView:
        """From the next computation on; what was closed stays. Number and currency stay. Raises PayrollRefused."""
        facts = _checked(facts)
        with self._ctx.db.begin() as session:
            row = session.get(EmployeeRow, employee_id, with_for_update={"key_share": True}, populate_existing=True)
            if row is None:
                raise PayrollRefused("employee_unknown")
            _check_agency(session, facts.agency_id)
            before = queries.employee_view(row, "").facts
            if facts.base.currency != before.base.currency:
                # What is carried over and agreed in the one would be forgotten in the other.
                raise PayrollRefused("employee_invalid")
            facts = replace(facts, number=row.number)
            _write(row, facts)
            session.flush()
            changed = [
                f"{name} {getattr(before, name)} to {getattr(facts, name)}"
                for name in _SHOWN
                if getattr(before, name) != getattr(facts, name)
            ]
            changed += [
                name for name in ("phone", "email", "language") if getattr(before, name) != getattr(facts, name)
            ]
            self._ctx.audit(session, by, "employee.changed", row.number, ", ".join(changed) or "nothing")
            return _one(session, row.id)

    def one(self, employee_id: int) -> EmployeeView:
        """Raises PayrollRefused employee_unknown."""
        with self._ctx.db.read() as session:
            return _one(session, employee_id)

    def all(self, *, after: str = "", limit: int = 50, active: bool | None = None) -> list[EmployeeView]:
        """By number, from behind `after` on."""
        with self._ctx.db.read() as session:
            return queries.employees(session, after=after, limit=limit, active=active)

    def agents(self) -> list[tuple[int, str, str, str]]:
        """(id, code, name, currency) of every agent, by code."""
        wanted = select(AgentRow.id, AgentRow.code, AgentRow.name, AgentRow.currency).order_by(AgentRow.code)
        with self._ctx.db.read() as session:
            return [(row.id, row.code, row.name, row.currency) for row in session.execute(wanted)]

    def agent(self, agent_id: int) -> tuple[int, str, str, str]:
        """One of them. Raises PayrollRefused employee_unknown."""
        wanted = select(AgentRow.id, AgentRow.code, AgentRow.name, AgentRow.currency).where(AgentRow.id == agent_id)
        with self._ctx.db.read() as session:
            row = session.execute(wanted).first()
        if row is None:
            raise PayrollRefused("employee_unknown")
        return row.id, row.code, row.name, row.currency

    def agencies(self) -> list[tuple[int, str]]:
        """(id, name), by name."""
        with self._ctx.db.read() as session:
            rows = session.execute(select(AgencyRow.id, AgencyRow.name).order_by(AgencyRow.name))
            return [(row.id, row.name) for row in rows]

    def slips_of(self, payee: Payee, *, limit: int = 36) -> list[SlipView]:
        """Somebody's payslips, newest first."""
        with self._ctx.db.read() as session:
            return queries.slips(session, payee=payee, limit=limit)

    # -- bonuses and deductions

    def items(self, payee: Payee) -> list[ItemView]:
        with self._ctx.db.read() as session:
            return queries.items(session, payee)

    def add_item(
        self,
        payee: Payee,
        kind: ItemKind,
        words: str,
        amount: Money,
        *,
        from_period: str,
        by: str,
        once: bool = True,
        until_period: str = "",
        taxable: bool = False,
    ) -> int:
        """A bonus or a deduction: once, in the first run of `from_period` or later, or every month. The same once more
        from the same hand a moment later is a form that was sent twice: its id, nothing is written. Raises
        PayrollRefused: words, an amount that can be paid, in the payee's currency, months in order."""
        words = " ".join(words.split())
        rules.first_and_last(from_period)
        if until_period:
            rules.first_and_last(until_period)
        if (
            not 0 < len(words) <= 80
            or not words.isprintable()
            or not amount.is_chargeable
            or amount.minor > _MOST_MINOR
        ):
            raise PayrollRefused("item_invalid")
        if (once and until_period) or (until_period and until_period < from_period):
            raise PayrollRefused("item_invalid")
        with self._ctx.db.begin() as session:
            number, currency = _payee(session, payee, lock=True)
            if amount.currency != currency:
                raise PayrollRefused("item_invalid")
            said: dict[str, Any] = {
                "employee_id": payee.id if payee.kind == "employee" else None,
                "agent_id": payee.id if payee.kind == "agent" else None,
                "kind": kind,
                "words": words,
                "amount_minor": amount.minor,
                "currency": currency,
                "taxable": taxable and kind == "bonus",
                "once": once,
                "from_period": from_period,
                "until_period": until_period,
                "made_by": by[:80],
            }
            now = self._ctx.clock.now()
            same = select(PayItemRow.id).filter_by(**said, ended_at=None).where(PayItemRow.made_at >= now - _SAME_FORM)
            known = session.scalar(same.limit(1))
            if known is not None:
                return known
            row = PayItemRow(**said, made_at=now)
            session.add(row)
            session.flush()
            how = "once" if once else f"monthly until {until_period or 'it is ended'}"
            self._ctx.audit(session, by, f"payroll.{kind}", number, f"{amount}, {words}, {how}, from {from_period}")
            return row.id

    def end_item(self, item_id: int, *, by: str) -> Payee:
        """It is due no more; slips that have it keep it. Raises PayrollRefused item_unknown, item_ended."""
        with self._ctx.db.begin() as session:
            row = session.get(PayItemRow, item_id, with_for_update={"key_share": True}, populate_existing=True)
            if row is None:
                raise PayrollRefused("item_unknown")
            if row.ended_at is not None or row.slip_id is not None:
                raise PayrollRefused("item_ended")
            row.ended_at, row.ended_by = self._ctx.clock.now(), by[:80]
            payee = queries.payee_of(row)
            number, _ = _payee(session, payee)
            told = f"{row.kind} of {Money(row.amount_minor, row.currency)}, {row.words}"
            self._ctx.audit(session, by, "payroll.item_ended", number, told)
            return payee


def _checked(facts: EmployeeFacts) -> EmployeeFacts:
    """The same, tidied. Raises PayrollRefused."""
    name, job, pay_to = (" ".join(text.split()) for text in (facts.name, facts.job, facts.pay_to))
    number = facts.number.strip().upper()
    texts = (name, job, pay_to, number)
    fits = 0 < len(name) <= 120 and 0 < len(job) <= 80 and len(pay_to) <= 60 and len(number) <= 20
    in_order = facts.ends_on is None or facts.ends_on >= facts.starts_on
    payable = facts.base.minor == 0 or (facts.base.is_chargeable and facts.base.minor <= _MOST_MINOR)
    known = facts.language in LANGUAGES and 0 <= facts.dependants <= _DEPENDANTS_MOST
    if not (fits and in_order and payable and known and all(text.isprintable() for text in texts)):
        raise PayrollRefused("employee_invalid")
    phone = parse_e164(facts.phone) if facts.phone.strip() else ""
    if phone is None:
        raise PayrollRefused("phone_invalid")
    email = facts.email.strip().lower()
    if email and not is_address(email):
        raise PayrollRefused("email_invalid")
    return replace(facts, name=name, job=job, pay_to=pay_to, number=number, phone=phone, email=email)


def _write(row: EmployeeRow, facts: EmployeeFacts) -> None:
    row.name, row.job, row.agency_id, row.pay_to = facts.name, facts.job, facts.agency_id, facts.pay_to
    row.phone, row.email, row.language = facts.phone, facts.email, facts.language
    row.base_minor, row.currency, row.dependants = facts.base.minor, facts.base.currency, facts.dependants
    row.starts_on, row.ends_on, row.active = facts.starts_on, facts.ends_on, facts.active


def _check_agency(session: Session, agency_id: int) -> None:
    if session.get(AgencyRow, agency_id) is None:
        raise PayrollRefused("agency_unknown")


def _next_number(session: Session) -> str:
    """E0001, E0002 …; one that somebody typed is passed over."""
    while True:
        number = f"E{next_number(session, 'employee'):04d}"
        if session.scalar(select(EmployeeRow.id).where(EmployeeRow.number == number)) is None:
            return number


def _one(session: Session, employee_id: int) -> EmployeeView:
    found = queries.employees(session, employee_id=employee_id)
    if not found:
        raise PayrollRefused("employee_unknown")
    return found[0]


def _payee(session: Session, payee: Payee, *, lock: bool = False) -> tuple[str, str]:
    """(number or code, currency). Raises PayrollRefused employee_unknown."""
    for_update = {"key_share": True} if lock else None
    if payee.kind == "employee":
        employee = session.get(EmployeeRow, payee.id, with_for_update=for_update)
        if employee is not None:
            return employee.number, employee.currency
    else:
        agent = session.get(AgentRow, payee.id, with_for_update=for_update)
        if agent is not None:
            return agent.code, agent.currency
    raise PayrollRefused("employee_unknown")
