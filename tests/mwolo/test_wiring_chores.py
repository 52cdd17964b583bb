"""What the dispatcher of the real wiring does between errands: none of what rescues money may be left out."""

from __future__ import annotations

from pathlib import Path

from core.settings import Settings
from mwolo.wiring import Wiring


def test_the_dispatcher_rescues_attempts_and_refunds(tmp_path: Path) -> None:
    settings = Settings(
        _env_file=None,
        database_url=f"sqlite:///{tmp_path}/mwolo.db",
        secret_key="a-key-for-tests-of-32-characters!",
    )
    wiring = Wiring(settings)
    chores = wiring.dispatcher.chores
    assert wiring.payments.rescue_stuck in chores
    assert wiring.refunds.stage_due_queries in chores
    assert wiring.refunds.rescue_stuck in chores
    wiring.db.dispose()
