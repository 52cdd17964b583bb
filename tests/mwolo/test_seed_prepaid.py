"""The town's prepaid accounts: tokens that devices take, and a second start that changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select

from core.db import Database
from core.kernel.clock import FixedClock
from core.ledger.queries import differences
from core.notices.tables import NoticeRow
from core.outbox import OutboxRow
from core.prepaid.tables import PrepaidIssueRow, PrepaidStandingRow
from core.sealing import Sealer
from mwolo.sandbox.keypads import Keypads
from mwolo.sandbox.store import Store
from mwolo.seed import seed
from mwolo.seed_data import plan
from mwolo.seed_prepaid import seed_prepaid

SECRET = "of a test"


@pytest.fixture
def small_town(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keypads from the first house on, so that a small town has some of them."""
    monkeypatch.setattr(plan, "RADIO_METERS", 1)


def test_the_tokens_of_the_past_are_on_the_devices(
    db: Database, clock: FixedClock, tmp_path: Path, small_town: None
) -> None:
    seed(db, clock, size=21)
    sealer = Sealer(SECRET)
    found = seed_prepaid(db, clock, sealer, SECRET)
    assert len(found) == 3
    store = Store(tmp_path / "box")
    devices = Keypads(store, lambda: clock.now().timestamp(), None)
    for one in found:
        devices.seed({"id": one.id, "key": one.key, "starting_code": one.starting_code, "account": one.account,
                      "typed": one.typed, "typed_at": one.typed_at})  # fmt: skip
    with db.read() as session:
        issued = select(PrepaidIssueRow.meter_id, PrepaidIssueRow.tokens, PrepaidStandingRow.paid_until).join(
            PrepaidStandingRow, PrepaidStandingRow.last_issue_id == PrepaidIssueRow.id
        )
        rows = session.execute(issued).all()
        tokens, until = {row[0]: row[1] for row in rows}, {row[0]: row[2] for row in rows}
        assert differences(session) == []
        assert set(session.scalars(select(NoticeRow.state).where(NoticeRow.kind == "prepaid.token"))) == {"delivered"}
        waiting = set(session.scalars(select(OutboxRow.kind).where(OutboxRow.state == "pending")))
        assert waiting <= {"document.invoice", "document.receipt", "document.payslip"}
        before = session.scalar(select(func.count()).select_from(OutboxRow))
    typed = [one for one in found if one.typed]
    assert 0 < len(typed) < len(found)
    for one in typed:
        # The device and we agree on the day, to the second.
        assert devices.one(one.id)["until"][:19] == until[one.id].isoformat()[:19]
    for one in found:
        if not one.typed:
            assert devices.type_token(one.id, tokens[one.id].split()[0])["outcome"] == "accepted"
    store.close()
    assert seed_prepaid(db, clock, sealer, SECRET) == found
    with db.read() as session:
        assert session.scalar(select(func.count()).select_from(OutboxRow)) == before
