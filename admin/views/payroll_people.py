"""Who is on the payroll: employees, and the bonuses and deductions of employees and agents."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from flask import Blueprint, Response, make_response, redirect, request, url_for
from werkzeug.exceptions import NotFound

from admin.csv_export import as_csv
from admin.money import Refusal
from admin.parts import Parts, page, say
from admin.payroll import PayrollParts, by, tried
from admin.views.money_refunds import read_amount
from core.documents.drawing import period_text
from core.i18n import LANGUAGES, N_
from core.kernel.money import CURRENCIES, Money
from core.payroll.model import EmployeeFacts, EmployeeView, Payee

_LIMIT, _EXPORT = 50, 5_000
_FIELDS = (
    "number", "name", "job", "agency", "phone", "email", "language", "pay_to", "base", "currency", "dependants",
    "starts_on", "ends_on", "active",
)  # fmt: skip
_HEAD = [
    N_("Number"), N_("Name"), N_("Job"), N_("Agency"), N_("Phone"), N_("E-mail"), N_("Language"), N_("Paid with"),
    N_("Currency"), N_("Base pay"), N_("Dependants"), N_("First day"), N_("Last day"), N_("On the payroll"),
]  # fmt: skip
Typed = dict[str, str]


def add_pages(admin: Blueprint, parts: Parts, pay: PayrollParts) -> None:
    _add_list(admin, parts, pay)
    pages = _Pages(parts, pay)
    _add_employees(admin, pages)
    _add_items(admin, pages)


def _add_list(admin: Blueprint, parts: Parts, pay: PayrollParts) -> None:
    @admin.get("/payroll/employees")
    def employees() -> str:
        after, gone = request.args.get("after", "")[:20], request.args.get("view") == "left"
        found = pay.payroll.people.all(after=after, limit=_LIMIT + 1, active=not gone)
        parts.staff.note(by(), "employees.seen", "left" if gone else "all", f"{len(found[:_LIMIT])} rows")
        return page(
            "employees.html", parts, people=found[:_LIMIT], gone=gone, agents=pay.payroll.people.agents(),
            more=found[_LIMIT - 1].number if len(found) > _LIMIT else "", after=after,
        )  # fmt: skip

    @admin.get("/payroll/employees.csv")
    def export_employees() -> Response:
        found = pay.payroll.people.all(limit=_EXPORT)
        parts.staff.note(by(), "export.employees", "all", f"{len(found)} rows")
        return as_csv("employees.csv", _HEAD, [_row(one) for one in found])


def _row(one: EmployeeView) -> list[object]:
    f = one.facts
    return [
        one.number, f.name, f.job, one.agency, f.phone, f.email, f.language, f.pay_to, f.base.currency,
        f.base.decimal_text(2), f.dependants, f.starts_on.isoformat(), f.ends_on.isoformat() if f.ends_on else "",
        say(N_("yes") if f.active else N_("no")),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Pages:
    """The pages of one payee, and what is shown again when something was refused."""

    parts: Parts
    pay: PayrollParts

    def form(self, refusal: Refusal | None = None, typed: Typed | None = None) -> Response:
        return self._employee(None, refusal, typed)

    def employee(
        self, employee_id: int, refusal: Refusal | None = None, typed: Typed | None = None, item: Typed | None = None
    ) -> Response:
        one = self.pay.found(lambda: self.pay.payroll.people.one(employee_id))
        return self._employee(one, refusal, typed, item)

    def _employee(
        self, one: EmployeeView | None, refusal: Refusal | None, typed: Typed | None, item: Typed | None = None
    ) -> Response:
        people = self.pay.payroll.people
        payee = Payee("employee", one.id) if one else None
        body = page(
            "employee.html", self.parts, one=one, agencies=people.agencies(), currencies=sorted(CURRENCIES),
            spoken=LANGUAGES, refusal=refusal, period_text=period_text,
            typed=typed or (_as_typed(one) if one else {"currency": "CDF", "language": "fr", "active": "yes"}),
            items=people.items(payee) if payee else [], slips=people.slips_of(payee) if payee else [],
            payee=payee, item=item or {}, now_period=f"{self.parts.clock.now():%Y-%m}", zone=self.parts.zone,
            done=request.args.get("done", "")[:20],
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    def agent(self, agent_id: int, refusal: Refusal | None = None, item: Typed | None = None) -> Response:
        people, payee = self.pay.payroll.people, Payee("agent", agent_id)
        _, code, name, currency = self.pay.found(lambda: people.agent(agent_id))
        body = page(
            "payroll_agent.html", self.parts, code=code, called=name, currency=currency, payee=payee, refusal=refusal,
            items=people.items(payee), slips=people.slips_of(payee), item=item or {}, period_text=period_text,
            now_period=f"{self.parts.clock.now():%Y-%m}", zone=self.parts.zone, done=request.args.get("done", "")[:20],
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    def payee(self, payee: Payee, refusal: Refusal, item: Typed) -> Response:
        if payee.kind == "employee":
            return self.employee(payee.id, refusal, item=item)
        return self.agent(payee.id, refusal, item)


def _plain(money: Money) -> str:
    """What a person would type for it."""
    return money.text.rsplit(" ", 1)[0]


def _as_typed(one: EmployeeView) -> Typed:
    f = one.facts
    return {
        "number": one.number, "name": f.name, "job": f.job, "agency": str(f.agency_id), "phone": f.phone,
        "email": f.email, "language": f.language, "pay_to": f.pay_to, "base": _plain(f.base),
        "currency": f.base.currency, "dependants": str(f.dependants), "starts_on": f.starts_on.isoformat(),
        "ends_on": f.ends_on.isoformat() if f.ends_on else "", "active": "yes" if f.active else "",
    }  # fmt: skip


def _read(typed: Typed, currency: str) -> EmployeeFacts | Refusal:
    """What the form says, or what is wrong with it."""
    base = read_amount(typed["base"], currency)
    if base is None:
        return Refusal(say(N_("This is no amount.")), 400)
    try:
        first = date.fromisoformat(typed["starts_on"])
        last = date.fromisoformat(typed["ends_on"]) if typed["ends_on"] else None
    except ValueError:
        return Refusal(say(N_("This is no date.")), 400)
    dependants = typed["dependants"] or "0"
    return EmployeeFacts(
        name=typed["name"], job=typed["job"], agency_id=int(typed["agency"]) if typed["agency"].isdecimal() else 0,
        base=base, starts_on=first, number=typed["number"], phone=typed["phone"], email=typed["email"],
        language=typed["language"], pay_to=typed["pay_to"], ends_on=last, active=typed["active"] == "yes",
        dependants=int(dependants) if dependants.isdecimal() and len(dependants) < 4 else -1,
    )  # fmt: skip


def _add_employees(admin: Blueprint, pages: _Pages) -> None:
    parts, people = pages.parts, pages.pay.payroll.people

    @admin.get("/payroll/employees/new")
    def new_employee() -> Response:
        return pages.form()

    @admin.post("/payroll/employees/new")
    def create_employee() -> Response:
        typed = _typed()
        facts = _read(typed, typed["currency"] if typed["currency"] in CURRENCIES else "CDF")
        if isinstance(facts, Refusal):
            return pages.form(facts, typed)
        made = tried(parts, "employee.created", typed["name"][:40], lambda: people.add(facts, by=by()))
        if isinstance(made, Refusal):
            return pages.form(made, typed)
        return make_response(redirect(url_for("admin.employee", employee_id=made.id, done="made"), 303))

    @admin.get("/payroll/employees/<int:employee_id>")
    def employee(employee_id: int) -> Response:
        one = pages.pay.found(lambda: people.one(employee_id))
        parts.staff.note(by(), "employee.seen", one.number)
        return pages.employee(employee_id)

    @admin.post("/payroll/employees/<int:employee_id>")
    def change_employee(employee_id: int) -> Response:
        one, typed = pages.pay.found(lambda: people.one(employee_id)), _typed()
        typed |= {"number": one.number, "currency": one.facts.base.currency}
        facts = _read(typed, one.facts.base.currency)
        if isinstance(facts, Refusal):
            return pages.employee(employee_id, facts, typed)
        answer = tried(parts, "employee.changed", one.number, lambda: people.change(employee_id, facts, by=by()))
        if isinstance(answer, Refusal):
            return pages.employee(employee_id, answer, typed)
        return make_response(redirect(url_for("admin.employee", employee_id=employee_id, done="changed"), 303))

    @admin.get("/payroll/agents/<int:agent_id>")
    def payroll_agent(agent_id: int) -> Response:
        _, code, _, _ = pages.pay.found(lambda: people.agent(agent_id))
        parts.staff.note(by(), "employee.seen", code)
        return pages.agent(agent_id)


def _typed() -> Typed:
    return {name: request.form.get(name, "").strip()[:160] for name in _FIELDS}


def _add_items(admin: Blueprint, pages: _Pages) -> None:
    parts, people = pages.parts, pages.pay.payroll.people

    @admin.post("/payroll/items")
    def add_pay_item() -> Response:
        fields = ("payee", "id", "kind", "words", "amount", "how", "from_period", "until_period", "taxable")
        typed = {name: request.form.get(name, "").strip()[:80] for name in fields}
        if not typed["id"].isdecimal() or len(typed["id"]) > 17 or typed["payee"] not in ("employee", "agent"):
            raise NotFound
        payee = Payee("employee" if typed["payee"] == "employee" else "agent", int(typed["id"]))
        number, currency = _number_and_currency(pages.pay, payee)
        amount = read_amount(typed["amount"], currency)
        if amount is None:
            return pages.payee(payee, Refusal(say(N_("This is no amount.")), 400), typed)
        kind: Literal["bonus", "deduction"] = "bonus" if typed["kind"] == "bonus" else "deduction"
        answer = tried(
            parts, f"payroll.{kind}", number,
            lambda: people.add_item(
                payee, kind, typed["words"], amount, from_period=typed["from_period"], by=by(),
                once=typed["how"] != "monthly", until_period=typed["until_period"], taxable=typed["taxable"] == "yes",
            ),
        )  # fmt: skip
        return pages.payee(payee, answer, typed) if isinstance(answer, Refusal) else _back(payee, "item")

    @admin.post("/payroll/items/<int:item_id>/end")
    def end_pay_item(item_id: int) -> Response:
        answer = tried(parts, "payroll.item_ended", str(item_id), lambda: people.end_item(item_id, by=by()))
        if isinstance(answer, Refusal):
            body = page("error.html", parts, status=answer.status, title=N_("Nothing was changed."), text=answer.text)
            return make_response(body, answer.status)
        return _back(answer, "ended")


def _number_and_currency(pay: PayrollParts, payee: Payee) -> tuple[str, str]:
    if payee.kind == "employee":
        one = pay.found(lambda: pay.payroll.people.one(payee.id))
        return one.number, one.facts.base.currency
    _, code, _, currency = pay.found(lambda: pay.payroll.people.agent(payee.id))
    return code, currency


def _back(payee: Payee, done: str) -> Response:
    if payee.kind == "employee":
        return make_response(redirect(url_for("admin.employee", employee_id=payee.id, done=done), 303))
    return make_response(redirect(url_for("admin.payroll_agent", agent_id=payee.id, done=done), 303))
