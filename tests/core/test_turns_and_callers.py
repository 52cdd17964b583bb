"""What the database knows of a caller, in two reads; and the journal of turns. On both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy import func, select

from core.billing.tables import DunningPolicyRow, ReminderRow
from core.customers.tables import PhoneRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.ids import new_uuid, own_reference
from core.kernel.money import Money
from core.ledger.tables import AccountRow
from core.payments.tables import AttemptRow, PaymentRow
from core.services.customers import Customers
from core.services.turns import Turns
from core.turns import deeds
from core.turns.model import TurnEntry
from core.turns.tables import TurnRow
from tests import town
from tests.core.statements import statements_of

STRANGER = "+243999000111"


@pytest.fixture
def homes(any_db: Database, clock: FixedClock) -> list[town.Home]:
    """Two customers; the first owes two invoices, the second one."""
    with any_db.begin() as session:
        made = [town.home(session, name="Marie Kabila"), town.home(session, name="Jean Mukendi", language="sw")]
        for home, period, total in (
            (made[0], "2026-01", 10_000),
            (made[0], "2026-02", 12_500),
            (made[1], "2026-02", 7_000),
        ):
            bill = town.invoice(session, home.contract, total=Money.units(total, "CDF"), state="sent", period=period)
            bill.sent_on = date(2026, 3, 2)
        session.add(AccountRow(code="credit", owner=str(made[0].contract.id), currency="CDF", balance_minor=500))
    return made


def test_a_caller_sees_her_own_bills_and_nobody_elses(
    any_db: Database, clock: FixedClock, homes: list[town.Home]
) -> None:
    seen = Customers(any_db, clock).snapshot(homes[0].phone)
    assert seen.language == "fr"
    assert [c.account_number for c in seen.contracts] == [homes[0].account_number]
    mine = seen.contracts[0]
    assert mine.own
    assert mine.due == Money.units(22_500, "CDF")
    assert mine.credit == Money(500, "CDF")
    assert [i.period for i in mine.invoices] == ["2026-01", "2026-02"]
    # Day 14 is Monday 16 March, a day on which supply may be cut.
    assert mine.cut_on == date(2026, 3, 16)


def test_an_unconfirmed_or_stale_link_shows_no_amount(
    any_db: Database, clock: FixedClock, homes: list[town.Home]
) -> None:
    with any_db.begin() as session:
        town.phone_link(session, homes[0].customer, phone=STRANGER, confirmed=False)
        town.phone_link(session, homes[1].customer, phone=STRANGER, fresh=False)
    seen = Customers(any_db, clock).snapshot(STRANGER, homes[0].account_number)
    assert seen.is_linked
    assert seen.contracts == ()
    assert seen.other is not None
    assert seen.other.account_number == homes[0].account_number
    assert not seen.other.own
    assert (seen.other.invoices, seen.other.credit, seen.other.cut_on) == ((), None, None)


def test_an_unknown_number_is_a_caller_too(any_db: Database, clock: FixedClock, homes: list[town.Home]) -> None:
    seen = Customers(any_db, clock).snapshot(STRANGER, "0000000000")
    assert (seen.is_linked, seen.contracts, seen.other, seen.language) == (False, (), None, None)


def test_ones_own_account_number_typed_shows_ones_own(
    any_db: Database, clock: FixedClock, homes: list[town.Home]
) -> None:
    seen = Customers(any_db, clock).snapshot(homes[0].phone, homes[0].account_number)
    assert seen.other == seen.contracts[0]


def test_attempts_and_receipts(any_db: Database, clock: FixedClock, homes: list[town.Home]) -> None:
    """Open ones, those that failed in the last ten minutes; three receipts, for the account or paid from the phone."""
    now = clock.real_now()
    with any_db.begin() as session:
        accounts = [
            AccountRow(code="receivable", owner=str(h.contract.id), currency="CDF", balance_minor=0) for h in homes
        ]
        session.add_all(accounts)
        session.flush()
        for minutes, state, payer in (
            (30, "pending", STRANGER),
            (5, "failed", homes[0].phone),
            (20, "failed", STRANGER),
        ):
            session.add(_attempt(homes[0], accounts[0], payer, state, now - timedelta(minutes=minutes)))
        paid = _attempt(homes[1], accounts[1], homes[0].phone, "succeeded", now - timedelta(hours=1))
        session.add(paid)
        session.flush()
        for day in range(4):
            session.add(_payment(homes[0], day, now - timedelta(days=day)))
        session.add(_payment(homes[1], 9, now - timedelta(minutes=50), attempt=paid))
    seen = Customers(any_db, clock).snapshot(homes[0].phone)
    assert [(a.state, a.is_open) for a in seen.attempts] == [("failed", False), ("pending", True)]
    assert [r.number for r in seen.receipts] == ["R-0", "R-9", "R-1"]
    assert seen.receipts[1].account_number == homes[1].account_number
    without = Customers(any_db, clock).snapshot(homes[0].phone, details=False)
    assert without == replace(seen, receipts=())


def test_a_snapshot_is_two_reads(any_db: Database, clock: FixedClock, homes: list[town.Home]) -> None:
    customers = Customers(any_db, clock)
    customers.snapshot(homes[0].phone)
    with statements_of(any_db) as said:
        customers.snapshot(homes[0].phone, homes[1].account_number)
    assert len(said) == 2, said
    assert all("SELECT" in statement for statement in said)


def test_what_is_never_cut_names_no_date(any_db: Database, clock: FixedClock, homes: list[town.Home]) -> None:
    with any_db.begin() as session:
        clinic = town.home(session, protected="health")
        town.invoice(session, clinic.contract, state="sent").sent_on = date(2026, 3, 2)
        session.add(DunningPolicyRow(version=2, valid_from=date(2026, 1, 1), body={"floor_minor": {"CDF": 2_000_000}}))
        small, large = homes[1].phone, homes[0].phone
    customers = Customers(any_db, clock)
    assert customers.snapshot(clinic.phone).contracts[0].cut_on is None
    assert customers.snapshot(small).contracts[0].cut_on is None
    assert customers.snapshot(large).contracts[0].cut_on == date(2026, 3, 16)


def test_a_language_is_kept_for_the_number(any_db: Database, clock: FixedClock, homes: list[town.Home]) -> None:
    customers = Customers(any_db, clock)
    for phone in (homes[0].phone, STRANGER):
        for language in ("en", "ln"):
            customers.set_language(phone, language)
            assert customers.snapshot(phone).language == language
    with pytest.raises(ValueError, match="no such language"):
        customers.set_language(STRANGER, "xx")
    with any_db.read() as session:
        assert session.scalar(select(func.count()).select_from(PhoneRow)) == 2


def test_a_batch_of_turns_drained_twice_is_there_once(
    any_db: Database, clock: FixedClock, homes: list[town.Home]
) -> None:
    turns = Turns(any_db)
    batch = [_entry(homes[0], position, clock) for position in range(3)]
    turns.record(batch)
    turns.record([*batch, _entry(homes[0], 3, clock)])
    turns.record([])
    with any_db.read() as session:
        rows = session.scalars(select(TurnRow).order_by(TurnRow.position)).all()
    assert [r.position for r in rows] == [0, 1, 2, 3]
    assert rows[0].at == clock.now()


def test_a_screen_that_was_answered_is_evidence(any_db: Database, clock: FixedClock, homes: list[town.Home]) -> None:
    with any_db.begin() as session:
        bill = town.invoice(session, homes[0].contract, state="sent")
        for step, later in (("sent", 0), ("reminder", 1)):
            at = clock.now() + timedelta(hours=later)
            session.add(ReminderRow(invoice_id=bill.id, cycle=1, step=step, policy_version=1, created_at=at))
    Turns(any_db).record([_entry(homes[0], 1, clock, seen=homes[0].contract.id)])
    with any_db.read() as session:
        found = {r.step: (r.delivered_at, r.evidence) for r in session.scalars(select(ReminderRow))}
    # The reminder came after the screen: nobody has read it yet.
    assert found == {"sent": (clock.now(), "screen"), "reminder": (None, None)}


def test_the_end_of_a_confirming_turn_is_found_again(
    any_db: Database, clock: FixedClock, homes: list[town.Home]
) -> None:
    with any_db.begin() as session:
        account = AccountRow(code="receivable", owner="1", currency="CDF", balance_minor=0)
        session.add(account)
        session.flush()
        row = _attempt(homes[0], account, homes[0].phone, "pending", clock.now())
        row.turn_key, row.end_text = "a key", "You will be asked for your PIN."
        session.add(row)
        did = {"number": 7}
        kept = deeds.once(
            session, turn_key="a deed", kind="case.open", phone=homes[0].phone, now=clock.now(), do=lambda: did,
            say=lambda found: f"Case {found['number']}.",
        )  # fmt: skip
        assert kept == deeds.Kept(did, "Case 7.")
        again = deeds.once(
            session, turn_key="a deed", kind="case.open", phone=homes[0].phone, now=clock.now(), do=dict, say=str
        )
        assert again == kept
    customers = Customers(any_db, clock)
    for key, end in (("a key", "You will be asked for your PIN."), ("a deed", "Case 7."), ("another", None)):
        assert customers.snapshot(homes[0].phone, turn_key=key).end_text == end
    assert customers.snapshot(homes[0].phone).end_text is None


def _attempt(home: town.Home, account: AccountRow, payer: str, state: str, at: object) -> AttemptRow:
    is_open = state == "pending"
    return AttemptRow(
        id=new_uuid(), own_ref=own_reference(), wallet="vodacom", brand="mpesa", payer_phone=payer,
        asked_by_phone=payer, language="fr", target_account_id=account.id,
        contract_id=home.contract.id, owed_minor=100, owed_currency="CDF",
        charged_minor=100, charged_currency="CDF", state=state, is_open=is_open, origin="ussd", created_at=at,
        ended_at=None if is_open else at,
    )  # fmt: skip


def _payment(home: town.Home, number: int, at: object, attempt: AttemptRow | None = None) -> PaymentRow:
    return PaymentRow(
        id=new_uuid(), wallet="vodacom", provider_txn_id=f"T{number}", attempt_id=attempt.id if attempt else None,
        contract_id=home.contract.id, currency="CDF", amount_minor=100, received_at=at, found_by="query",
        receipt_number=f"R-{number}", verification_code=f"000000000{number}",
    )  # fmt: skip


def _entry(home: town.Home, position: int, clock: FixedClock, seen: int | None = None) -> TurnEntry:
    return TurnEntry(
        "africastalking", "ATUid_1", home.phone, "*123#", "2026-03-10", position, "home", position, "0" * 32, "1",
        "Marie", False, home.contract.id, clock.now().isoformat(), seen,
    )  # fmt: skip
