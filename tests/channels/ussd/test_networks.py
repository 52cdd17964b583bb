"""A screen is drawn for the network that the request came through."""

from __future__ import annotations

from pathlib import Path

import redis

from channels.ussd.gateway import Turn
from channels.ussd.gateways.africastalking import AfricasTalkingUssd
from core.db import Database
from core.settings import Settings
from mwolo.wiring import Wiring
from tests.channels.ussd.ussd_world import populate


def test_a_network_without_accents_gets_none(db: Database, client: redis.Redis, redis_url: str, tmp_path: Path) -> None:
    phone = populate(db, 1)[0].phone
    settings = Settings(
        _env_file=None,
        database_url=db.url.render_as_string(hide_password=False),
        redis_url=redis_url,
        documents_dir=str(tmp_path / "documents"),
        secret_key="a-key-for-tests-of-32-characters!",
        ussd_networks="63002=160a,63086=182",
    )
    wiring = Wiring(settings)
    turns, gateway = wiring.ussd_turns(lambda _outcome: None), AfricasTalkingUssd()
    said = {
        code: turns.answer(gateway, Turn("africastalking", f"ATUid_{code}", phone, "*123#", code, "")).decode()
        for code in ("63001", "63002", "63086")
    }
    wiring.db.dispose()
    assert said["63001"] == said["63086"]
    assert said["63002"].isascii()
    assert not said["63001"].isascii()
