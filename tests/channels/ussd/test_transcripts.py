"""Properties: whatever is delivered twice, late or from another branch, the screens and the payments are the same."""

from __future__ import annotations

import string

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.ussd.menu.fit import ITEMS_PER_PAGE, MORE, PREFIX_SEPTETS, Network, TooLong, cost, fit
from channels.ussd.menu.screen import Choice, Name, Screen, line, plain
from core.db import Database
from core.kernel import gsm7
from core.kernel.clock import FixedClock
from core.services.customers import Customers
from tests.channels.ussd.turn_table import Caller
from tests.channels.ussd.ussd_world import FakePayments, Line, Site, populate

REPLIES = st.lists(
    st.sampled_from(["1", "1", "1", "2", "3", "4", "0", "9", "8", "5000", "", "1*1", "#", "abc", "7"]), max_size=7
)
# Before each true request: a number below 0.5 repeats an earlier transcript, above it sends a diverging one.
NOISE = st.lists(st.lists(st.floats(0, 0.999), max_size=3), min_size=9, max_size=9)


def transcripts(replies: list[str]) -> list[str]:
    """What the aggregator sends, request by request."""
    sent, text = [""], ""
    for reply in replies:
        text = f"{text}*{reply}" if text else reply
        if text != sent[-1]:
            sent.append(text)
    return sent


@pytest.fixture(scope="module")
def callers() -> list[Caller]:
    return []


@pytest.mark.redis_server
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(replies=REPLIES, noise=NOISE)
def test_any_interleaving_shows_the_same_screens_and_begins_at_most_one_payment(
    db: Database,
    client: redis.Redis,
    clock: FixedClock,
    callers: list[Caller],
    replies: list[str],
    noise: list[list[float]],
) -> None:
    if not callers:
        callers.extend(populate(db, 1))
    phone = callers[0].phone

    def start_over() -> None:
        client.flushall()
        Customers(db, clock).set_language(phone, "fr")

    start_over()
    calm = FakePayments()
    line_ = Line(Site(db, client, calm, clock), phone)
    said: dict[str, bytes] = {}
    for text in transcripts(replies):
        said[text] = line_.send(text)
        if said[text].startswith(b"END "):
            break
    start_over()
    stormy = FakePayments()
    line_ = Line(Site(db, client, stormy, clock), phone)
    sent: list[str] = []
    for text, extras in zip(said, noise, strict=False):
        for where in extras:
            if not sent:
                continue
            if where < 0.5:
                late = sent[int(where * 2 * len(sent))]
                assert line_.send(late) == said[late]
            elif sent[-1]:
                # Never sent, and no continuation of what was: another branch.
                assert line_.send(f"x{where}" + sent[-1]) == said[sent[-1]]
        assert line_.send(text) == said[text]
        sent.append(text)
    assert len(stormy.begun) == len(calm.begun) <= 1
    assert stormy.calls == calm.calls


TEXT = st.text(string.ascii_letters + "éàôç€ 0123456789{[’", min_size=1, max_size=30).map(str.strip).filter(bool)


@settings(max_examples=150, deadline=None)
@given(
    head=st.lists(TEXT, max_size=3),
    names=st.lists(TEXT, max_size=20),
    budget=st.integers(110, 182),
    ascii_only=st.booleans(),
    back=st.booleans(),
)
def test_fit_keeps_every_line_and_choice_within_the_budget(
    head: list[str], names: list[str], budget: int, ascii_only: bool, back: bool
) -> None:
    choices = tuple(Choice(str(n), line("{name}", name=Name(name))) for n, name in enumerate(names))
    screen = Screen(tuple(plain(text) for text in head), choices, back=back)
    network = Network(budget, ascii_only)
    offered: list[str] = []
    number, more = 0, True
    while more:
        page = fit(screen, "en", network=network, page=number)
        assert cost(page.text) + PREFIX_SEPTETS <= budget
        if ascii_only:
            assert page.text.isascii()
        mine = [v for v in page.keys.values() if not v.startswith("<")]
        assert len(mine) <= ITEMS_PER_PAGE
        offered.extend(mine)
        number, more = number + 1, MORE in page.keys.values()
    assert offered == [c.value for c in choices]


@settings(max_examples=100, deadline=None)
@given(amount=st.text("0123456789 ", min_size=1, max_size=200))
def test_what_must_stand_whole_is_whole_or_refused(amount: str) -> None:
    screen = Screen((plain(amount),), whole=True)
    try:
        page = fit(screen, "en", network=Network())
    except TooLong:
        assert (gsm7.septets(amount) or 0) > 100
    else:
        assert amount in page.text
