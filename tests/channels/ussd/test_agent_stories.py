"""The step files of agents, played against the real services behind the turns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from core.db import Database
from core.kernel.clock import FixedClock
from core.partner_http import PartnerHttp
from mwolo.step_files import read
from mwolo.step_run import Place, Player, cast
from tests.channels.ussd.agent_world import Trade
from tests.channels.ussd.ussd_world import FakePayments
from tests.core.agents.kiosk import PHONE, PIN

FILES = sorted((Path(__file__).parent / "steps").glob("agent_*.yaml"))


@pytest.fixture
def url(db: Database, client: redis.Redis, payments: FakePayments, clock: FixedClock) -> Iterator[str]:
    with Trade(db, client, clock, payments).site.serving() as address:
        yield address


@pytest.mark.redis_server
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_story_of_an_agent_goes_as_written(path: Path, url: str) -> None:
    story = read(path)
    played = Player(PartnerHttp("menu"), Place(url), story, story.people).play()
    assert played.wrong is None, played.wrong


def test_a_demos_agents_play_the_roles_that_have_a_pin() -> None:
    story = read(FILES[0])
    agents = ({"phone": "+243815557009", "pin": "660914"},)
    (people,) = cast(PartnerHttp("menu"), Place("http://127.0.0.1:9"), story, (), agents)
    assert people["agent"] == agents[0]
    (people,) = cast(PartnerHttp("menu"), Place("http://127.0.0.1:9"), story, ())
    assert people["agent"] == {"phone": PHONE, "pin": PIN}
