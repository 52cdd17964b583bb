"""A month's run from the first computation to paid: by two people, once, whatever happens in between."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import event, func, select

from core.documents.payslip import render_payslip
from core.kernel.money import Money
from core.ledger.model import Account
from core.notices.tables import NoticeRow
from core.outbox import OutboxRow
from core.payroll import queries
from core.payroll.errors import PayrollRefused
from core.payroll.model import Payee
from core.payroll.papers import payslip_facts
from core.payroll.tables import PayItemRow, PayslipRow
from core.settlement.events import PayslipClosed
from tests.core.payroll.payday import Payday, francs, said

FEBRUARY = datetime(2026, 2, 20, 9, 0, tzinfo=UTC)
MARCH = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)


def at(payday: Payday, moment: datetime) -> None:
    payday.clock.advance(seconds=(moment - payday.clock.now()).total_seconds())


def refusal(code: str) -> pytest.RaisesContext[PayrollRefused]:  # type: ignore[name-defined]
    return pytest.raises(PayrollRefused, match=f"^{code}")


def test_a_month_from_open_to_paid(any_payday: Payday) -> None:
    w = any_payday
    employee = Payee("employee", w.employee().id)
    agent_id = w.agent()
    agent = Payee("agent", agent_id)
    at(w, FEBRUARY)
    w.sale(agent_id, commission=Money(20_050, "CDF"))
    at(w, MARCH)
    w.sale(agent_id, commission=francs(70))
    run_id = w.closed()
    slip, lines = w.slip(run_id, employee)
    assert said([x for x in lines if x.side != "employer"]) == [
        ("base", 500_000, 500_000), ("contribution", 25_000, 25_000), ("tax", 51_810, 51_810),
    ]  # fmt: skip
    assert (slip.number, slip.net, slip.state) == ("P2026-000001", francs(423_190), "closed")
    paid, lines = w.slip(run_id, agent)
    assert (said(lines), paid.number) == ([("commission", 200, 200)], "P2026-000002")
    assert w.commission(agent_id) == Money(7_050, "CDF"), "March and half a franc stay owed"
    assert (w.owed(employee), w.owed(agent)) == (francs(423_190), francs(200))
    levies = {code: w.books.balance(Account("payroll_levy", code)) for code in ("cnss", "cnss_employer", "inpp", "ipr")}
    assert levies == {
        "cnss": francs(25_000), "cnss_employer": francs(65_000), "inpp": francs(15_000), "ipr": francs(51_810),
    }  # fmt: skip
    assert len(w.books.staged("document.payslip")) == 2
    assert w.payroll.runs.mark_paid(run_id, "VIR 118", by="paul") == 2
    assert w.payroll.runs.mark_paid(run_id, "VIR 118", by="paul") == 0, "once"
    assert (w.owed(employee), w.owed(agent)) == (francs(0), francs(0))
    assert w.books.balance(Account("bank")) == francs(-423_390)
    assert w.payroll.runs.one(run_id).paid == 2
    w.books.check()
    said_of_run = [(who, what) for who, what, subject in w.acts if subject == "2026-02 CDF"]
    assert said_of_run == [
        ("rita", "payroll.opened"), ("rita", "payroll.handed_on"), ("paul", "payroll.looked"),
        ("paul", "payroll.closed"), ("paul", "payroll.paid"),
    ]  # fmt: skip


def test_the_e_mail_goes_to_who_has_an_address(payday: Payday) -> None:
    payday.employee()
    payday.employee("Kapinga Ngalula", email="", language="lua")
    run_id = payday.closed()
    with payday.db.read() as session:
        [notice] = session.scalars(select(NoticeRow).where(NoticeRow.kind == "payslip.ready"))
        [first, _] = payday.payroll.runs.slips(run_id)
    assert (notice.recipient, notice.attachment) == ("ilunga@exemple.cd", f"payslip:{first.id}")
    assert "423 190 FC" in notice.body
    assert "02/2026" in notice.subject


def test_it_takes_two_and_a_look(payday: Payday) -> None:
    payday.employee()
    runs, run_id = payday.payroll.runs, payday.opened()
    with refusal("run_state"):
        runs.close(run_id, 1, by="paul")
    runs.hand_on(run_id, by="rita")
    with refusal("not_looked"):
        runs.close(run_id, 1, by="paul")
    runs.looked(run_id, 1, by="rita")
    with refusal("same_person"):
        runs.close(run_id, 1, by="rita")
    with refusal("not_looked"):
        runs.close(run_id, 1, by="paul")
    runs.looked(run_id, 1, by="paul", note="Ilunga is owed a bonus")
    runs.compute(run_id, by="paul")
    with refusal("changed"):
        runs.close(run_id, 1, by="paul")
    with refusal("same_person"):
        runs.close(run_id, 2, by="paul")
    with refusal("words_missing"):
        runs.send_back(run_id, by="paul", note=" ")
    runs.send_back(run_id, by="paul", note="the bonus")
    with refusal("run_state"):
        runs.send_back(run_id, by="paul", note="again")
    runs.compute(run_id, by="rita")
    payday.reviewed(run_id)
    runs.close(run_id, 3, by="paul")
    assert runs.one(run_id).state == "closing"
    assert [look.note for look in runs.looks(run_id)] == ["", "the bonus", "Ilunga is owed a bonus", ""]


def test_what_would_come_out_differently_is_not_closed(payday: Payday) -> None:
    """A bonus, another salary, commission taken back, other rates: compute again, look again."""
    employee = payday.employee()
    agent_id = payday.agent()
    at(payday, FEBRUARY.replace(month=3, day=1))
    payment = payday.sale(agent_id, commission=francs(900))
    at(payday, datetime(2026, 4, 2, 8, 0, tzinfo=UTC))
    people, runs = payday.payroll.people, payday.payroll.runs
    run_id = payday.opened("2026-03")
    runs.hand_on(run_id, by="rita")
    payee = Payee("employee", employee.id)
    for change in (
        lambda: people.add_item(payee, "bonus", "Prime", francs(5_000), from_period="2026-03", by="paul"),
        lambda: people.change(employee.id, payday.facts(base=510_000), by="paul"),
        lambda: payday.taken_back(payment),
        lambda: payday.payroll.rates.add("CDF", "2026-03", {"contributions": []}, by="paul"),
    ):
        version = payday.version(run_id)
        runs.looked(run_id, version, by="paul")
        change()
        with refusal("changed"):
            runs.close(run_id, version, by="paul")
        runs.compute(run_id, by="rita")
    runs.looked(run_id, payday.version(run_id), by="paul")
    runs.close(run_id, payday.version(run_id), by="paul")
    runs.finish(run_id)
    [slip] = runs.slips(run_id)
    assert (slip.payee, slip.net) == (payee, francs(515_000))


def test_two_close_at_once_and_two_workers_finish_at_once(any_payday: Payday) -> None:
    w = any_payday
    for number in range(12):
        w.employee(f"Employee {number}")
    runs, run_id = w.payroll.runs, w.opened()
    runs.hand_on(run_id, by="rita")
    for who in ("paul", "odile"):
        runs.looked(run_id, 1, by=who)
    start, came = threading.Barrier(2), []

    def close(who: str) -> None:
        start.wait()
        try:
            runs.close(run_id, 1, by=who)
            came.append("closed")
        except PayrollRefused as error:
            came.append(error.code)

    def finish(_: str) -> None:
        start.wait()
        came.append(str(runs.finish(run_id)))

    for task in (close, finish):
        threads = [threading.Thread(target=task, args=(who,)) for who in ("paul", "odile")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(came[:2]) == ["closed", "run_state"]
    assert sum(int(done) for done in came[2:]) == 12
    slips = runs.slips(run_id)
    assert sorted(slip.number for slip in slips) == [f"P2026-{n:06d}" for n in range(1, 13)]
    assert len(w.books.staged("document.payslip")) == 12
    assert len(w.books.staged("payroll.close")) == 1
    w.books.check()


@pytest.mark.parametrize("step", ["before", "first", "middle"])
def test_a_crash_in_the_middle_is_taken_up(any_payday: Payday, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    w = any_payday
    for number in range(7):
        w.employee(f"Employee {number}")
    run_id = w.decided()

    class Killed(BaseException):
        pass

    if step != "before":
        from core.services.payroll import closing

        posted, real = [0], closing.post

        def dies(*args: object, **more: object) -> object:
            posted[0] += 1
            if posted[0] == (1 if step == "first" else 7):
                raise Killed
            return real(*args, **more)  # type: ignore[arg-type]

        with monkeypatch.context() as patched:
            patched.setattr(closing, "post", dies)
            with pytest.raises(Killed):
                w.payroll.runs.finish(run_id)
    assert w.payroll.runs.one(run_id).state == "closing"
    w.payroll.runs.finish(run_id)
    assert w.payroll.runs.finish(run_id) == 0
    run = w.payroll.runs.one(run_id)
    assert (run.state, run.done) == ("closed", 7)
    assert sorted(slip.number for slip in w.payroll.runs.slips(run_id)) == [f"P2026-{n:06d}" for n in range(1, 8)]
    assert len(w.books.staged("document.payslip")) == 7
    with w.db.read() as session:
        assert session.scalar(select(func.count()).where(NoticeRow.kind == "payslip.ready")) == 7
    w.books.check()


def test_a_closed_run_is_never_changed(payday: Payday) -> None:
    employee = payday.employee()
    run_id = payday.closed()
    before = payday.payroll.runs.slip(payday.payroll.runs.slips(run_id)[0].id)
    runs = payday.payroll.runs
    for act in (
        lambda: runs.compute(run_id, by="rita"),
        lambda: runs.hand_on(run_id, by="rita"),
        lambda: runs.looked(run_id, 1, by="rita"),
        lambda: runs.send_back(run_id, by="rita", note="x"),
        lambda: runs.cancel(run_id, by="rita", note="x"),
        lambda: runs.close(run_id, 1, by="paul"),
    ):
        with refusal("run_state"):
            act()
    payday.payroll.people.change(employee.id, payday.facts("Another", 1), by="rita")
    assert runs.slip(before[0].id) == before
    # What was wrong is put right in the next one.
    payee = Payee("employee", employee.id)
    payday.payroll.people.add_item(payee, "bonus", "Rappel 02/2026", francs(900), from_period="2026-03", by="rita")
    _, lines = payday.slip(payday.opened("2026-03"), payee)
    assert [(x.kind, x.label, x.amount_minor) for x in lines if x.kind == "bonus"] == [
        ("bonus", "Rappel 02/2026", 90_000)
    ]


def test_months_go_in_order_one_at_a_time(payday: Payday) -> None:
    payday.employee()
    for period, code in (("2026-04", "period_future"), ("2026-4", "period_invalid"), ("later", "period_invalid")):
        with refusal(code):
            payday.opened(period)
    with refusal("nobody"):
        payday.opened(currency="KES")
    first = payday.opened()
    with refusal("run_open"):
        payday.opened("2026-03")
    payday.payroll.runs.cancel(first, by="rita", note="wrong month")
    payday.closed()
    for period in ("2026-01", "2026-02"):
        with refusal("period_passed"):
            payday.opened(period)
    assert payday.payroll.runs.next_period("CDF") == "2026-03"
    assert [run.state for run in payday.payroll.runs.all()] == ["closed", "cancelled"]


def test_salaries_without_rates_are_not_run(payday: Payday) -> None:
    payday.payroll.people.add(replace(payday.facts(), base=Money(90_000, "USD")), by="rita")
    with refusal("no_rates"):
        payday.opened(currency="USD")
    payday.payroll.rates.add("USD", "2026-02", {"contributions": []}, by="rita")
    payday.closed(currency="USD")
    with refusal("rates_closed_month"):
        payday.payroll.rates.add("USD", "2026-02", {"contributions": []}, by="rita")


def test_commission_taken_back_and_a_float_below_its_limit(any_payday: Payday) -> None:
    w = any_payday
    seller, debtor = w.agent(), w.agent(float_units=0)
    at(w, FEBRUARY)
    payments = [w.sale(seller, commission=francs(amount)) for amount in (300, 200)]
    w.float_reversed(debtor, 150)
    w.sale(w.agent(), commission=francs(1))
    with w.db.read() as session:
        assert queries.float_debts(session, "CDF") == {debtor: 15_000}
    at(w, MARCH)
    first = w.closed()
    assert said(w.slip(first, Payee("agent", seller))[1]) == [("commission", 500, 500)]
    for payment in payments:
        w.taken_back(payment)
    assert w.commission(seller) == francs(-500)
    # The next month earns less than was taken back; the debtor earns more than is owed.
    at(w, datetime(2026, 3, 20, 8, 0, tzinfo=UTC))
    w.payroll.people.add_item(Payee("agent", seller), "bonus", "Prime", francs(120), from_period="2026-03", by="rita")
    w.payroll.people.add_item(Payee("agent", debtor), "bonus", "Prime", francs(400), from_period="2026-03", by="rita")
    at(w, datetime(2026, 4, 2, 8, 0, tzinfo=UTC))
    second = w.closed("2026-03")
    slip, lines = w.slip(second, Payee("agent", seller))
    assert (said(lines), slip.net) == ([("bonus", 120, 120), ("commission_back", 120, 500)], francs(0))
    assert w.commission(seller) == francs(-380), "the rest is taken when there is something"
    slip, lines = w.slip(second, Payee("agent", debtor))
    assert (said(lines), slip.net) == ([("bonus", 400, 400), ("float_debt", 150, 150)], francs(250))
    assert w.float_(debtor) == francs(0)
    w.books.check()


def test_what_there_was_not_enough_for_is_carried_over(payday: Payday) -> None:
    payee = Payee("employee", payday.employee(base=20_000).id)
    people = payday.payroll.people
    people.add_item(payee, "deduction", "Avance", francs(40_000), from_period="2026-01", by="rita")
    people.add_item(payee, "deduction", "Mutuelle", francs(1_000), from_period="2026-01", by="rita", once=False)
    found = []
    for month, period in ((2, "2026-01"), (3, "2026-02"), (4, "2026-03"), (5, "2026-04")):
        at(payday, datetime(2026, month, 5, 8, 0, tzinfo=UTC)) if month > 3 else None
        run_id = payday.closed(period)
        slip, lines = payday.slip(run_id, payee)
        assert slip.net >= francs(0)
        found.append([(x.label, x.amount_minor // 100, x.asked_minor // 100, x.basis) for x in lines
                      if x.kind == "deduction"])  # fmt: skip
    assert found == [
        [("Avance", 17_000, 40_000, {}), ("Mutuelle", 0, 1_000, {})],
        [("Mutuelle", 1_000, 1_000, {}), ("Avance", 16_000, 23_000, {"from": "2026-01"}),
         ("Mutuelle", 0, 1_000, {"from": "2026-01"})],
        [("Mutuelle", 1_000, 1_000, {}), ("Avance", 7_000, 7_000, {"from": "2026-01"}),
         ("Mutuelle", 1_000, 1_000, {"from": "2026-01"})],
        [("Mutuelle", 1_000, 1_000, {})],
    ]  # fmt: skip
    payday.books.check()


def test_items_end_and_a_missed_one_waits(payday: Payday) -> None:
    employee = payday.employee(starts_on=date(2026, 2, 16))
    payee, people = Payee("employee", employee.id), payday.payroll.people
    payday.employee("Somebody else", email="")
    once = people.add_item(payee, "bonus", "Prime", francs(10), from_period="2026-01", by="rita")
    gone = people.add_item(payee, "deduction", "Amende", francs(10), from_period="2026-01", by="rita")
    assert people.end_item(gone, by="rita") == payee
    for act in (lambda: people.end_item(gone, by="rita"), lambda: people.end_item(9_999, by="rita")):
        with refusal("item_"):
            act()
    _, lines = payday.slip(payday.closed("2026-02"), payee)
    assert said(lines)[:2] == [("base", 232_143, 232_143), ("bonus", 10, 10)]
    assert lines[0].basis == {"days": 13, "of_days": 28}
    with refusal("item_ended"):
        people.end_item(once, by="rita")
    with payday.db.read() as session:
        assert session.get_one(PayItemRow, once).slip_id is not None


def test_employees_are_checked(payday: Payday) -> None:
    people = payday.payroll.people
    first = people.add(payday.facts(number="e7"), by="rita")
    assert (first.number, people.one(first.id)) == ("E7", first)
    for wrong, code in (
        ({"number": "E7"}, "number_taken"),
        ({"name": " "}, "employee_invalid"),
        ({"job": ""}, "employee_invalid"),
        ({"base": Money(50, "CDF")}, "employee_invalid"),
        ({"base": francs(-5)}, "employee_invalid"),
        ({"language": "xx"}, "employee_invalid"),
        ({"dependants": -1}, "employee_invalid"),
        ({"ends_on": date(2020, 1, 1)}, "employee_invalid"),
        ({"agency_id": 999}, "agency_unknown"),
        ({"phone": "12"}, "phone_invalid"),
        ({"email": "nobody"}, "email_invalid"),
    ):
        with refusal(code):
            people.add(replace(payday.facts(), **wrong), by="rita")  # type: ignore[arg-type]
    with refusal("employee_invalid"):
        people.change(first.id, replace(first.facts, base=Money(100, "USD")), by="rita")
    payee = Payee("employee", first.id)
    for amount, words, other in (
        (francs(0), "x", {}), (Money(50, "CDF"), "x", {}), (Money(100, "USD"), "x", {}), (francs(1), " ", {}),
        (francs(1), "x", {"until_period": "2026-05"}), (francs(1), "x", {"once": False, "until_period": "2026-01"}),
    ):  # fmt: skip
        with refusal("item_invalid"):
            people.add_item(payee, "bonus", words, amount, from_period="2026-02", by="rita", **other)  # type: ignore[arg-type]
    with refusal("employee_unknown"):
        people.add_item(Payee("agent", 77), "bonus", "x", francs(1), from_period="2026-02", by="rita")


def test_the_paper_says_what_the_slip_says(payday: Payday) -> None:
    payee = Payee("employee", payday.employee(base=100_000, language="en", dependants=2).id)
    payday.payroll.people.add_item(payee, "deduction", "Advance", francs(990_000), from_period="2026-02", by="rita")
    run_id = payday.decided()
    slip_id = payday.slip(run_id, payee)[0].id

    def facts() -> object:
        with payday.db.read() as session:
            found = payslip_facts(session, str(slip_id))
        assert found is not None
        return found[0]

    draft = facts()
    assert (draft.number, draft.closed_on, draft.year_to_date) == ("", None, None)  # type: ignore[attr-defined]
    payday.payroll.runs.finish(run_id)
    paper = facts()
    assert paper.number == "P2026-000001"  # type: ignore[attr-defined]
    assert paper.closed_on == date(2026, 3, 10)  # type: ignore[attr-defined]
    assert [(x.label, x.basis) for x in (*paper.earnings, *paper.deductions)] == [  # type: ignore[attr-defined]
        ("Base pay", ""), ("CNSS", "5 % of 100 000 FC"), ("IPR", "on 95 000 FC"),
        ("Advance", "990 000 FC asked, the rest next month"),
    ]  # fmt: skip
    assert (paper.net, paper.year_to_date) == (francs(0), francs(0))  # type: ignore[attr-defined]
    assert render_payslip(paper, "en") == render_payslip(facts(), "en")  # type: ignore[arg-type]
    with payday.db.read() as session:
        for nothing in ("0", "x", "9" * 30, "-1"):
            assert payslip_facts(session, nothing) is None


def test_a_name_shared_with_settlement() -> None:
    assert PayslipClosed.kind == queries.PAID_BY_PAYROLL


def test_a_run_asks_the_same_number_of_questions_for_any_number_of_people(payday: Payday) -> None:
    seen: list[str] = []

    @event.listens_for(payday.db.engine, "before_cursor_execute")
    def watch(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        # Rows of slips are written one by one; everything else is asked once.
        if not statement.startswith("INSERT INTO payslip "):
            seen.append(statement)

    counts = []
    for many in (2, 12):
        for number in range(len(payday.payroll.people.all()), many):
            payday.employee(f"Ilunga {number}", email="")
            payday.agent()
        seen.clear()
        run_id = payday.opened()
        payday.payroll.runs.all()
        payday.payroll.runs.slips(run_id)
        counts.append(len(seen))
        payday.payroll.runs.cancel(run_id, by="rita", note="")
    assert counts[0] == counts[1]


def test_the_paper_is_staged_with_its_slip(payday: Payday) -> None:
    payday.employee(email="")
    run_id = payday.closed()
    with payday.db.read() as session:
        [row] = session.scalars(select(OutboxRow).where(OutboxRow.kind == "document.payslip"))
        [slip] = session.scalars(select(PayslipRow).where(PayslipRow.run_id == run_id))
    assert row.body == {"payslip_id": slip.id}
