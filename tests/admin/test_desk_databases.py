"""The desk's look-ups on both databases, and where business time stands apart from real time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from core.db import Database
from core.desk.model import KINDS
from core.kernel.clock import FixedClock
from core.services.desk import Desk
from tests.admin import console_town
from tests.admin.console_town import CODE, OWN_REF, RECEIPT, TXN


class Apart(FixedClock):
    """Business time is eight months behind real time, as in the sandbox's story."""

    def real_now(self) -> datetime:
        return self.now() + timedelta(days=240)


def test_every_look_up_on_both_databases(any_db: Database, clock: FixedClock) -> None:
    home = console_town.everything_happened(any_db, clock)
    desk = Desk(any_db, clock)
    today = desk.today()
    assert [(m.brand, m.money.text, m.count) for m in today.money] == [("mpesa", "30 000 FC", 1)]
    assert (today.open_count, today.stray_count, len(today.dead)) == (1, 1, 1)
    assert [(f.reason, f.count) for f in today.failures] == [("no_funds", 1)]
    assert {q.kind: q.waiting for q in today.queues}["attempt.query"] == 1
    assert [(n.kind, n.failed) for n in today.notices] == [("payment.receipt", 1)]
    for words in ("0815550001", home.account_number, home.meter.id, RECEIPT, CODE, TXN, OWN_REF, "mbuyi", "zz\x00z"):
        hits = desk.search(words)
        assert len(hits) == (0 if "\x00" in words else 1), words
    head = desk.customer(home.customer.id)
    assert head
    assert [due.text for due in head.dues] == ["28 500 FC"]
    assert head.contracts[0].credit.text == "1 500 FC"
    story = desk.story(home.customer.id)
    assert {entry.kind for entry in story.entries} == set(KINDS)
    assert [e.at for e in story.entries] == sorted((e.at for e in story.entries), reverse=True)
    assert desk.customer(999_999) is None
    assert desk.story(999_999).entries == ()


def test_attempts_stand_where_they_belong_when_business_time_was_moved(db: Database) -> None:
    """They are dated in real time; the story is told in business time."""
    real = FixedClock(datetime(2026, 11, 5, 8, 0, tzinfo=UTC))
    moved = Apart(real.now() - timedelta(days=240))
    home = console_town.everything_happened(db, real)
    story = Desk(db, moved).story(home.customer.id, kinds=("asked",))
    assert {entry.at.date() for entry in story.entries} == {moved.now().date()}
    assert Desk(db, moved).today().open_attempts[0].created_at == moved.now() - timedelta(minutes=2)
    older = Desk(db, moved).story(home.customer.id, kinds=("asked",), before=story.entries[0].at)
    assert older.entries == story.entries[1:]
