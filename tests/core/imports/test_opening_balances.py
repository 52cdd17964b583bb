"""What was owed, or in credit, in the system before: through the one door, once, and nobody is cut for it at once."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from sqlalchemy import select

from core.billing.dunning import evaluate
from core.billing.queries import policy_on
from core.billing.tables import DunningCycleRow, InvoiceLineRow, InvoiceRow, ReminderRow
from core.customers.tables import ContractRow
from core.imports.errors import ImportRefused
from core.imports.model import Kind, State
from core.kernel.money import Money
from core.ledger import queries as ledger
from core.ledger.model import Account, credit, receivable
from core.notices.tables import NoticeRow
from core.services.billing import Billing
from core.services.desk import Desk
from core.services.imports.opening import take_over
from core.settlement.dunning import facts_of
from tests.core.imports.world import World
from tests.core.settlement.books import check_books

FILE = "contrat;solde;devise;au\nK-0;28 500;FC;31/01/2026\nK-1;-1200;FC;\nK-2;0;FC;\n"


def _minor(world: World, account: Account) -> int:
    with world.db.read() as session:
        return ledger.trial_balance(session).get((account.code, account.owner, "CDF"), 0)


def test_debits_and_credits_are_in_the_books_once(any_world: World) -> None:
    w = any_world
    w.homes(3)
    done = w.bring(Kind.BALANCES, FILE)
    assert (done.state, done.made, done.left_out) == (State.DONE, 3, 0)
    with w.db.read() as session:
        one, two, three = session.scalars(select(ContractRow.id).order_by(ContractRow.id)).all()
        invoice = session.scalars(select(InvoiceRow)).one()
        line = session.scalars(select(InvoiceLineRow)).one()
        cycle = session.scalars(select(DunningCycleRow)).one()
        check_books(session)
    today = date(2026, 3, 10)
    assert (invoice.contract_id, invoice.number, invoice.period) == (one, "O26-KIN-000001", "2026-01")
    assert (invoice.state, invoice.sent_on, invoice.issued_on) == ("sent", today, today)
    assert (invoice.total_minor, invoice.paid_minor, invoice.tax_minor) == (2_850_000, 0, 0)
    assert "31/01/2026" in line.label
    assert (cycle.started_on, cycle.cause) == (today, "opening")
    assert _minor(w, receivable(one)) == 2_850_000
    assert _minor(w, credit(two)) == -120_000
    assert _minor(w, receivable(three)) == _minor(w, credit(three)) == 0
    assert _minor(w, Account("opening")) == -2_850_000 + 120_000
    assert _minor(w, Account("revenue")) == 0
    again = w.problems(Kind.BALANCES, "contrat;solde;devise\nK-0;1;FC\nK-1;1;USD\n")
    assert again == [
        (2, "contrat", "The opening balance of this contract is in the books already."),
        (3, "devise", "This contract is in CDF."),
        (3, "contrat", "The opening balance of this contract is in the books already."),
    ]


def test_the_clock_of_dunning_starts_with_the_import_however_old_the_debt(world: World) -> None:
    world.homes(1)
    world.bring(Kind.METERS, "meter,contract,control_kind\nMW01,K-0,mqtt_relay\n")
    world.bring(Kind.BALANCES, "contract,amount,currency,as_of\nK-0,90000,CDF,2019-05-31\n")
    billing = Billing(world.db, world.clock)
    with world.db.read() as session:
        notices = session.scalars(select(NoticeRow.kind)).all()
        steps = session.scalars(select(ReminderRow.step)).all()
    assert (notices, steps) == (["invoice.sent"], ["sent"]), "day 0, and nothing more"
    billing.sweep()
    assert billing.cut_batch("Africa/Kinshasa").cut == ()
    now = world.clock.now()
    with world.db.read() as session:
        policy = policy_on(session, now.date())
        (facts,) = facts_of(session, (1,), policy, now).values()
    verdict = evaluate(facts, policy, now)
    assert not verdict.off_due
    assert verdict.next_date_that_matters is not None
    assert verdict.next_date_that_matters >= now.date() + timedelta(days=14)


def test_a_wrong_opening_invoice_is_cancelled_where_it_came_from(any_world: World) -> None:
    w = any_world
    w.homes(1)
    w.bring(Kind.BALANCES, "contract,amount,currency\nK-0,900,CDF\n")
    Billing(w.db, w.clock).cancel_invoice(1, reason="paid in the old system", by="finance")
    held = [_minor(w, account) for account in (receivable(1), Account("opening"), Account("revenue"))]
    assert held == [0, 0, 0]
    assert len(w.problems(Kind.BALANCES, "contract,amount,currency\nK-0,800,CDF\n")) == 1


def test_old_papers_lead_to_the_customer(world: World) -> None:
    """The reference of the old system, of her or of her contract, and the number of an opening invoice."""
    world.homes(2)
    world.bring(Kind.BALANCES, "contract,amount,currency\nK-1,900,CDF\n")
    desk = Desk(world.db, world.clock)
    for words in ("c-1", "K-1", "O26-KIN-000001"):
        assert [hit.customer for hit in desk.search(words)] == ["Mbuyi 1"], words


def test_an_opening_invoice_does_not_keep_the_month_from_being_billed(world: World) -> None:
    from core.billing import run_queries
    from core.billing.run_model import Month

    world.homes(2)
    world.bring(Kind.BALANCES, "contract,amount,currency,as_of\nK-0,90000,CDF,2026-02-28\n")
    with world.db.read() as session:
        wanted = run_queries.unbilled(Month.read("2026-02"), agency_id=None, contract_id=None)
        assert run_queries.count(session, wanted) == 0, "both began in March"
        wanted = run_queries.unbilled(Month.read("2026-03"), agency_id=None, contract_id=None)
        assert run_queries.count(session, wanted) == 2
    later = world.bring(Kind.BALANCES, "contract,amount,currency,as_of\nK-1,90000,CDF,2026-03-05\n")
    assert later.made == 1
    with world.db.read() as session:
        assert run_queries.count(session, wanted) == 2


def test_opening_balances_need_a_second_person(world: World) -> None:
    world.homes(1)
    import_id = world.imports.take(Kind.BALANCES, "b.csv", b"contract,amount,currency\nK-0,500,CDF\n", by="finance")
    with pytest.raises(ImportRefused, match="somebody else than finance"):
        world.imports.accept(import_id, by="finance")
    world.imports.accept(import_id, by="finance", alone=True)


def test_a_balance_booked_in_the_middle_of_its_file_is_left_out(world: World) -> None:
    """Somebody books one by hand between the look and its turn: the others go in, and it is told."""
    world.homes(6)
    text = "contract,amount,currency\n" + "".join(f"K-{n},500,CDF\n" for n in range(6))
    import_id = world.imports.take(Kind.BALANCES, "b.csv", text.encode(), by="finance")
    world.imports.accept(import_id, by="finance2")
    assert not world.imports.carry_on(import_id, patience_s=0)
    with world.db.begin() as session:
        last = session.scalars(select(ContractRow.id).order_by(ContractRow.id.desc())).first()
        assert last is not None
        clock, key = world.clock, f"opening:{last}"
        take_over(
            session, last, Money(-100, "CDF"), as_of=date(2026, 3, 1), key=key, by="x", memo="by hand", clock=clock
        )
    assert world.imports.carry_on(import_id)
    done = world.seen(import_id)
    assert (done.made, done.left_out) == (5, 1)
    with world.db.read() as session:
        check_books(session)
