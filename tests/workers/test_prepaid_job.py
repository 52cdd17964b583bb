"""From the money to the text, as the workers do it: leased, carried out, written down; and no token in any log."""

from __future__ import annotations

from sqlalchemy import select
from structlog.testing import capture_logs

from core import outbox
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.money import Money
from core.outbox import Leased, OutboxRow
from core.services.prepaid import Keypad
from tests.core.prepaid.shop import CODE, KEY, Shop
from workers.executor import InLine, Runner
from workers.jobs import prepaid


def leased(shop: Shop) -> list[Leased]:
    with shop.db.begin() as session:
        return outbox.lease(session, queue="settle", clock=shop.clock, limit=10)


def rows(shop: Shop, kind: str) -> list[OutboxRow]:
    with shop.db.read() as session:
        return list(session.scalars(select(OutboxRow).where(OutboxRow.kind == kind).order_by(OutboxRow.id)))


def test_a_payment_is_leased_issued_and_told(db: Database, clock: FixedClock) -> None:
    shop = Shop.opened(db, clock, keypad=Keypad(KEY, CODE))
    runner = Runner(db, clock, prepaid.handlers(shop.prepaid))
    shop.pays(Money.units(4_500, "CDF"))
    taken = leased(shop)
    with capture_logs() as logs:
        InLine(runner).submit("settle", taken)
        # The queue handed it out twice: the lease is gone, and the cause is done.
        InLine(runner).submit("settle", taken)
    (row,) = rows(shop, "prepaid.token")
    assert (row.state, row.last_error) == ("done", "3 day")
    (issue,) = shop.issues()
    (text,) = shop.texts()
    assert [one.body for one in rows(shop, "notice.send")][-1] == {"notice_id": text.id}
    assert issue.tokens[0] not in str(logs)
    assert issue.tokens[0] not in str(row.body) + row.last_error


def test_a_worker_that_died_after_its_commit_issues_nothing_more(db: Database, clock: FixedClock) -> None:
    shop = Shop.opened(db, clock, keypad=Keypad(KEY, CODE))
    shop.pays(Money.units(4_500, "CDF"))
    (row,) = leased(shop)
    prepaid.handlers(shop.prepaid)["prepaid.token"](row)
    shop.pays(Money.units(1_500, "CDF"))
    clock.advance(seconds=3_600)
    runner = Runner(db, clock, prepaid.handlers(shop.prepaid))
    InLine(runner).submit("settle", leased(shop))
    assert [row.state for row in rows(shop, "prepaid.token")] == ["done", "done"]
    assert [issue.quantity for issue in shop.issues()] == [3, 1]
    assert len(shop.texts()) == 2


def test_what_a_person_must_mend_ends_dead_with_its_reason(db: Database, clock: FixedClock) -> None:
    shop = Shop.opened(db, clock)
    runner = Runner(db, clock, prepaid.handlers(shop.prepaid))
    shop.pays(Money.units(4_500, "CDF"))
    InLine(runner).submit("settle", leased(shop))
    (row,) = rows(shop, "prepaid.token")
    assert row.state == "dead"
    assert "no key or starting code" in row.last_error
    assert shop.credit() == Money.units(4_500, "CDF")
