"""What turns had done is kept a month, and then no longer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from core.db import Database
from core.kernel.clock import FixedClock
from core.services import turns
from core.services.turns import DEEDS_KEPT, Turns
from core.turns import deeds
from core.turns.tables import TurnDeedRow


def test_deeds_are_forgotten_after_a_month(
    any_db: Database, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_CHUNK", 2)
    with any_db.begin() as session:
        for n in range(5):
            at = clock.now() - DEEDS_KEPT - timedelta(seconds=3 - n)
            deeds.once(
                session, turn_key=f"t{n}", kind="k", phone="+243815550001", now=at, do=dict, say=lambda _did: None
            )
    service = Turns(any_db)
    assert service.forget_deeds(clock.now()) == 3
    assert service.forget_deeds(clock.now()) == 0
    with any_db.read() as session:
        assert sorted(session.scalars(select(TurnDeedRow.turn_key))) == ["t3", "t4"]
