"""A form that is sent twice pays nobody twice."""

from __future__ import annotations

import threading

from core.payroll.model import Payee
from tests.core.payroll.payday import Payday, francs


def test_a_bonus_sent_twice_is_one(payday: Payday) -> None:
    payee, people = Payee("employee", payday.employee().id), payday.payroll.people

    def bonus(words: str = "Prime de nuit", by: str = "rita") -> int:
        return people.add_item(payee, "bonus", words, francs(20_000), from_period="2026-03", by=by)

    first = bonus()
    assert bonus() == first
    assert bonus("Prime de jour") != first
    assert bonus(by="jeanne") != first
    payday.clock.advance(minutes=6)
    again = bonus()
    assert again != first
    people.end_item(again, by="rita")
    # What was ended is no twin: it is wanted again.
    assert bonus() != again


def test_an_employee_sent_twice_at_once_is_one(any_payday: Payday) -> None:
    made: list[str] = []
    gate = threading.Barrier(2)

    def add() -> None:
        gate.wait()
        made.append(any_payday.employee().number)

    threads = [threading.Thread(target=add) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == ["E0001", "E0001"]
    assert any_payday.employee(job="Caissier").number != "E0001"
    any_payday.clock.advance(minutes=6)
    assert any_payday.employee().number != "E0001"
