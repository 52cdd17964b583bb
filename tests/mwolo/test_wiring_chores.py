"""What must be wired: the dispatcher's chores that rescue money, and every deed that a screen asks for."""

from __future__ import annotations

from pathlib import Path

from channels.ussd.menu.engine import Act
from channels.ussd.menu.graph import tries
from channels.ussd.menu.journeys import menu
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


def test_every_deed_of_the_menu_is_wired(tmp_path: Path) -> None:
    """A screen that asks for a deed nobody does would end every turn there with an excuse."""
    wiring = Wiring(
        Settings(
            _env_file=None,
            database_url=f"sqlite:///{tmp_path}/mwolo.db",
            secret_key="a-key-for-tests-of-32-characters!",
        )
    )
    states = menu()
    asked = {one.step.deed for key in states.keys for one in tries(states, key) if isinstance(one.step, Act)}
    assert asked == set(wiring.ussd_deeds)
    wiring.db.dispose()
