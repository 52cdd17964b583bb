"""The service on both databases: an invoice's life, the sweep, the batch, and the light that comes back."""

from __future__ import annotations

import threading
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import func, select

from core.billing import queries
from core.billing.policy import DEFAULT_POLICY
from core.billing.tables import (
    DunningCycleRow,
    DunningDecisionRow,
    DunningPolicyRow,
    HoldRow,
    InvoiceRow,
    ReminderRow,
)
from core.customers.tables import PhoneRow
from core.db import Database
from core.kernel.clock import EAST, WEST, FixedClock
from core.kernel.errors import StateConflict
from core.kernel.money import Money
from core.ledger.model import receivable
from core.ledger.queries import balance
from core.notices.tables import NoticeRow
from core.readings.model import Point
from core.services.billing import Billing, Line
from core.services.readings import Readings
from core.settlement import offs, post
from core.settlement.dunning import lock_contract, off_still_due
from core.settlement.events import OperatorReversed, WalletMoney
from core.supply.tables import CrewTaskRow, MeterDesiredRow, RelayCommandRow
from tests import town


@pytest.fixture
def billing(any_db: Database, clock: FixedClock) -> Billing:
    return Billing(any_db, clock)


def settle(db: Database, clock: FixedClock, home: town.Home, amount: Money = town.BILL) -> str:
    """Money comes by wallet; the payment's id."""
    with db.begin() as session:
        row = town.payment(session, home.contract, amount)
        post(
            session,
            WalletMoney(
                key=f"pay:{row.id}", payment_id=row.id, wallet="vodacom", contract_id=home.contract.id, amount=amount
            ),
            clock=clock,
        )
        return row.id


def deliver_all(db: Database) -> None:
    with db.begin() as session:
        for row in session.scalars(select(ReminderRow).where(ReminderRow.delivered_at.is_(None))):
            if row.leaves_at is not None:
                row.delivered_at, row.evidence = row.leaves_at, "report"


def hear(db: Database, clock: FixedClock, home: town.Home) -> None:
    with db.begin() as session:
        town.heard(session, home.meter, at=clock.real_now())


def debtor(db: Database, billing: Billing, **about: str) -> tuple[town.Home, int]:
    """A home with its invoice of 28 500 FC just sent."""
    with db.begin() as session:
        home = town.home(session, **about)
        invoice = town.invoice(session, home.contract)
    billing.send_invoice(invoice.id)
    return home, invoice.id


def nights(db: Database, clock: FixedClock, billing: Billing, count: int) -> None:
    """So many nights with their sweep at 05:00 in Kinshasa; every notice arrives when it leaves."""
    for _ in range(count):
        clock.advance(days=1)
        billing.sweep()
        deliver_all(db)


def to_the_morning_of_the_cut(db: Database, clock: FixedClock, billing: Billing, home: town.Home) -> None:
    """From the day the invoice was sent to +14 at 09:00 in Kinshasa."""
    deliver_all(db)
    clock.advance(hours=-4)
    nights(db, clock, billing, 14)
    clock.advance(hours=4)
    hear(db, clock, home)


def desired(db: Database, home: town.Home) -> str | None:
    with db.read() as session:
        row = session.get(MeterDesiredRow, home.meter.id)
        return row.supply if row else None


def steps(db: Database, invoice_id: int) -> list[str]:
    with db.read() as session:
        found = select(ReminderRow.step).where(ReminderRow.invoice_id == invoice_id).order_by(ReminderRow.id)
        return list(session.scalars(found))


# The life of an invoice.


def test_draft_validate_send(any_db: Database, clock: FixedClock, billing: Billing) -> None:
    with any_db.begin() as session:
        home = town.home(session, zone=EAST)
    clock.advance(hours=14, minutes=30)  # 23:30 in Kinshasa, half past midnight of the 11th in Lubumbashi
    lines = (Line("Energie", Money.units(24_000, "CDF")), Line("TVA", Money.units(4_500, "CDF"), levy="vat"))
    invoice_id = billing.draft_invoice(home.contract.id, period="2026-02", lines=lines)
    assert billing.validate_invoice(invoice_id) == "2026-AG001-000001"
    billing.send_invoice(invoice_id)
    with any_db.read() as session:
        invoice = session.get_one(InvoiceRow, invoice_id)
        assert (invoice.state, invoice.sent_on) == ("sent", date(2026, 3, 11))
        assert session.get_one(DunningCycleRow, (invoice_id, 1)).started_on == date(2026, 3, 11)
        assert balance(session, receivable(home.contract.id), "CDF") == town.BILL
        (notice,) = session.scalars(select(NoticeRow))
        assert notice.kind == "invoice.sent"
        assert notice.recipient == home.phone
    assert steps(any_db, invoice_id) == ["sent"]


def test_what_is_in_the_wrong_state_is_refused_and_nothing_changes(any_db: Database, billing: Billing) -> None:
    _, invoice_id = debtor(any_db, billing)
    with pytest.raises(StateConflict):
        billing.send_invoice(invoice_id)
    with pytest.raises(StateConflict):
        billing.validate_invoice(invoice_id)
    with pytest.raises(StateConflict):
        billing.send_invoice(999)
    with any_db.begin() as session:
        home = town.home(session)
        centimes = town.invoice(session, home.contract, total=Money(12_345, "CDF"), state="draft")
    with pytest.raises(StateConflict, match="whole francs"):
        billing.validate_invoice(centimes.id)
    assert steps(any_db, invoice_id) == ["sent"]


def test_cancelling_a_sent_invoice_takes_the_debt_back(any_db: Database, clock: FixedClock, billing: Billing) -> None:
    home, invoice_id = debtor(any_db, billing)
    billing.cancel_invoice(invoice_id, reason="wrong meter", by="jeanne")
    with any_db.read() as session:
        assert session.get_one(InvoiceRow, invoice_id).state == "cancelled"
        assert balance(session, receivable(home.contract.id), "CDF").minor == 0
    with pytest.raises(StateConflict):
        billing.cancel_invoice(invoice_id, reason="again")
    nights(any_db, clock, billing, 20)
    assert steps(any_db, invoice_id) == ["sent"]


def test_a_paid_invoice_is_not_cancelled(any_db: Database, clock: FixedClock, billing: Billing) -> None:
    home, invoice_id = debtor(any_db, billing)
    settle(any_db, clock, home, Money.units(1_000, "CDF"))
    with pytest.raises(StateConflict, match="credit note"):
        billing.cancel_invoice(invoice_id, reason="no")


def test_invoice_numbers_have_no_gap_and_no_twin(any_db: Database, billing: Billing) -> None:
    with any_db.begin() as session:
        ids = [town.invoice(session, town.home(session).contract, state="draft").id for _ in range(12)]
    failed: list[BaseException] = []

    def validate(part: list[int]) -> None:
        try:
            for invoice_id in part:
                billing.validate_invoice(invoice_id)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=validate, args=(ids[n::3],)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    with any_db.read() as session:
        numbers = sorted(session.scalars(select(InvoiceRow.number)))
    assert numbers == [f"2026-AG001-{n:06d}" for n in range(1, 13)]


# The story of +14.


def test_unpaid_cut_paid_and_light_again(any_db: Database, clock: FixedClock, billing: Billing) -> None:
    home, invoice_id = debtor(any_db, billing)
    to_the_morning_of_the_cut(any_db, clock, billing, home)
    assert steps(any_db, invoice_id) == ["sent", "reminder", "warning", "announcement"]
    with any_db.read() as session:
        kinds = list(session.scalars(select(NoticeRow.kind).order_by(NoticeRow.id)))
        warning = session.scalars(select(NoticeRow.body).where(NoticeRow.kind == "dunning.warning")).one()
    assert kinds == ["invoice.sent", "dunning.reminder", "dunning.warning", "dunning.announcement"]
    assert "24/03/2026" in warning

    assert billing.cut_batch(EAST).cut == ()
    assert billing.cut_batch(WEST).cut == (home.contract.id,)
    assert desired(any_db, home) == "off"
    with any_db.begin() as session:
        (command,) = session.scalars(select(RelayCommandRow))
        assert (command.supply, command.invoice_id, command.reason) == ("off", invoice_id, "nonpayment")
        assert command.not_after == datetime.fromisoformat("2026-03-24T14:00:00+01:00")
        lock_contract(session, home.contract.id)
        assert off_still_due(session, clock=clock, contract_id=home.contract.id)
        assert offs.off_holds(session, clock=clock, contract_id=home.contract.id) == []
    assert billing.cut_batch(WEST).cut == ()  # once

    settle(any_db, clock, home)
    assert desired(any_db, home) == "on"
    with any_db.begin() as session:
        assert not off_still_due(session, clock=clock, contract_id=home.contract.id)
        kept = session.scalars(select(DunningDecisionRow).order_by(DunningDecisionRow.id)).all()
    assert [row.supply for row in kept][-2:] == ["off", "on"]
    assert kept[-2].off_due
    assert kept[-2].facts["invoices"][0]["steps"][2]["cut_on"] == "2026-03-24"


def test_a_payment_a_moment_before_the_batch_is_seen(any_db: Database, clock: FixedClock, billing: Billing) -> None:
    home, _ = debtor(any_db, billing)
    to_the_morning_of_the_cut(any_db, clock, billing, home)
    settle(any_db, clock, home)
    assert billing.cut_batch(WEST).cut == ()
    assert desired(any_db, home) is None


def test_nobody_is_cut_while_a_reading_waits_for_a_person(db: Database, clock: FixedClock) -> None:
    billing, readings = Billing(db, clock), Readings(db, clock)
    home, _ = debtor(db, billing, kind="consumption")
    to_the_morning_of_the_cut(db, clock, billing, home)
    readings.take(home.meter.id, [Point(clock.now(), 1_000_000)], source="mqtt")
    readings.take(home.meter.id, [Point(clock.now() + timedelta(minutes=1), 1_000)], source="mqtt")
    assert billing.cut_batch(WEST).held == ((home.contract.id, ("reading_jump",)),)
    readings.reject(readings.held()[0].reading.id, by="jeanne", reason="another meter's")
    assert billing.cut_batch(WEST).cut == (home.contract.id,)


def test_part_of_the_money_brings_the_light_back_only_below_the_threshold(
    any_db: Database, clock: FixedClock, billing: Billing
) -> None:
    home, _ = debtor(any_db, billing)
    to_the_morning_of_the_cut(any_db, clock, billing, home)
    billing.cut_batch(WEST)
    settle(any_db, clock, home, Money.units(10_000, "CDF"))
    assert desired(any_db, home) == "off"
    settle(any_db, clock, home, Money.units(14_000, "CDF"))
    assert desired(any_db, home) == "on"


def test_a_reversal_opens_a_new_cycle_and_leaves_the_light_on(
    any_db: Database, clock: FixedClock, billing: Billing
) -> None:
    home, invoice_id = debtor(any_db, billing)
    to_the_morning_of_the_cut(any_db, clock, billing, home)
    billing.cut_batch(WEST)
    payment_id = settle(any_db, clock, home)
    with any_db.begin() as session:
        reversal = OperatorReversed(key=f"rev:{payment_id}", payment_id=payment_id, contract_id=home.contract.id)
        post(session, reversal, clock=clock)
    assert desired(any_db, home) == "on"
    clock.advance(hours=-4)
    nights(any_db, clock, billing, 13)
    assert billing.cut_batch(WEST).cut == ()
    assert steps(any_db, invoice_id)[4:] == ["sent", "reminder", "warning"]
    with any_db.read() as session:
        assert session.scalar(select(func.count()).where(NoticeRow.kind == "invoice.sent")) == 1


def test_the_guards_hold_and_say_why(any_db: Database, clock: FixedClock, billing: Billing) -> None:
    """A meter that nobody has heard is not cut; the reason is kept with the decision."""
    home, _ = debtor(any_db, billing)
    to_the_morning_of_the_cut(any_db, clock, billing, home)
    with any_db.begin() as session:
        town.heard(session, home.meter, at=clock.real_now() - timedelta(days=5))
    batch = billing.cut_batch(WEST)
    assert batch.cut == ()
    assert batch.held == ((home.contract.id, ("meter_silent",)),)
    with any_db.read() as session:
        kept = queries.last_decision(session, home.contract.id)
        assert kept is not None
        assert (kept.supply, [reason["code"] for reason in kept.reasons]) == ("on", ["meter_silent"])


def test_money_on_its_way_holds_twice_and_no_more(any_db: Database, clock: FixedClock, billing: Billing) -> None:
    home, _ = debtor(any_db, billing)
    to_the_morning_of_the_cut(any_db, clock, billing, home)
    with any_db.begin() as session:
        for n in (1, 2, 3):
            since = clock.now() - timedelta(hours=n)
            hold = HoldRow(
                contract_id=home.contract.id, kind="pending_payment", from_at=since, until_at=since, by=f"attempt:{n}"
            )
            hold.until_at = clock.now() + timedelta(hours=1) if n == 1 else since + timedelta(minutes=1)
            session.add(hold)
    # The two before it have used up the limit: the third holds nothing.
    assert billing.cut_batch(WEST).cut == (home.contract.id,)


def test_an_opted_out_customer_gets_a_crew_not_a_cut(any_db: Database, clock: FixedClock, billing: Billing) -> None:
    with any_db.begin() as session:
        home = town.home(session)
        session.add(PhoneRow(phone=home.phone, opted_out_at=clock.now()))
        invoice = town.invoice(session, home.contract)
    billing.send_invoice(invoice.id)
    to_the_morning_of_the_cut(any_db, clock, billing, home)
    assert billing.cut_batch(WEST).cut == ()
    with any_db.read() as session:
        tasks = session.scalars(select(CrewTaskRow).where(CrewTaskRow.kind == "notice")).all()
    assert tasks
    assert billing.notice_handed_over(tasks[0].id, by="equipe 3")
    assert not billing.notice_handed_over(tasks[0].id, by="equipe 3")
    with any_db.read() as session:
        reminder = session.get_one(ReminderRow, int(tasks[0].key.partition(":")[2]))
        assert reminder.evidence == "crew"


# The sweep.


def test_the_sweep_twice_a_night_does_nothing_twice(any_db: Database, clock: FixedClock, billing: Billing) -> None:
    _, invoice_id = debtor(any_db, billing)
    clock.advance(days=3)
    assert billing.sweep().steps == 1
    assert billing.sweep().steps == 0
    assert steps(any_db, invoice_id) == ["sent", "reminder"]


def test_a_payment_brings_no_reminder(any_db: Database, clock: FixedClock, billing: Billing) -> None:
    home, invoice_id = debtor(any_db, billing)
    clock.advance(days=8)
    settle(any_db, clock, home, Money.units(1_000, "CDF"))
    assert steps(any_db, invoice_id) == ["sent"]


def test_the_sweep_gives_back_what_should_be_on(any_db: Database, clock: FixedClock, billing: Billing) -> None:
    home, _ = debtor(any_db, billing)
    with any_db.begin() as session:
        session.add(
            MeterDesiredRow(
                meter_id=home.meter.id, version=3, supply="off", reason="nonpayment", set_by="test", set_at=clock.now()
            )
        )
    assert billing.sweep().given_back == 1
    assert desired(any_db, home) == "on"


def test_the_newest_policy_that_began_is_used(any_db: Database, clock: FixedClock, billing: Billing) -> None:
    patient = {"reminder_after_days": 5, "warning_after_days": 10, "announcement_after_days": 28}
    with any_db.begin() as session:
        session.add(DunningPolicyRow(version=1, valid_from=date(2026, 1, 1), body=DEFAULT_POLICY.as_json()))
        session.add(DunningPolicyRow(version=2, valid_from=date(2026, 3, 1), body=patient))
        session.add(DunningPolicyRow(version=3, valid_from=date(2027, 1, 1), body=DEFAULT_POLICY.as_json()))
    _, invoice_id = debtor(any_db, billing)
    clock.advance(days=4)
    assert billing.sweep().steps == 0
    clock.advance(days=1)
    assert billing.sweep().steps == 1
    with any_db.read() as session:
        assert set(session.scalars(select(ReminderRow.policy_version))) == {2}
    assert steps(any_db, invoice_id) == ["sent", "reminder"]
