"""The correctness table for turns, spoken over HTTP to any number of web processes that share one Redis.

Used in the tests on two Flask applications, and on two real web processes. Each scenario takes fresh callers and a
session id of its own, and alternates between the addresses it was given. `run_all` returns what went wrong, in words.
"""

from __future__ import annotations

import itertools
import random
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urlencode

import httpx

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Caller:
    """A customer with one account that owes money, and a number whose wallet is known from its prefix."""

    phone: str
    account: str

    @property
    def grouped(self) -> str:
        return " ".join(self.account[i : i + 3] for i in range(0, len(self.account), 3))


@dataclass
class World:
    """`urls`: `POST` addresses of turns, one for each web process. `attempts`: how many payments a number began.
    `owing`: taken one by one by the scenarios. `empty_redis`: forgets every session, where the runner can do that.
    """

    urls: Sequence[str]
    owing: Iterator[Caller]
    attempts: Callable[[str], int]
    empty_redis: Callable[[], None] | None = None
    service_code: str = "*123#"
    client: httpx.Client = field(
        default_factory=lambda: httpx.Client(timeout=30, limits=httpx.Limits(max_connections=64), trust_env=False)
    )
    _turn: Iterator[int] = field(default_factory=itertools.count)

    def post(self, session: str, phone: str, text: str, *, url: str | None = None, service_code: str = "") -> str:
        """One request; the answer's body. Every answer must be 200 and start as the aggregator wants it."""
        fields = {
            "sessionId": session,
            "phoneNumber": phone,
            "networkCode": "63001",
            "serviceCode": service_code or self.service_code,
            "text": text,
        }
        where = url or self.urls[next(self._turn) % len(self.urls)]
        answer = self.client.post(where, content=urlencode(fields), headers=FORM)
        body = answer.content
        assert answer.status_code == 200, f"status {answer.status_code}"
        assert body.startswith((b"CON ", b"END ")), f"prefix: {body[:20]!r}"
        assert answer.headers["content-type"] == "text/plain; charset=utf-8", answer.headers["content-type"]
        assert answer.headers["content-length"] == str(len(body)), "no length"
        return body.decode()

    def caller(self) -> Caller:
        return next(self.owing)


def new_session() -> str:
    return f"ATUid_{uuid.uuid4().hex}"


PAY_ALL = ("", "1", "1*1", "1*1*1")


def pay_all(world: World, session: str, phone: str) -> list[str]:
    """Dial, pay, all, yes: the four screens."""
    return [world.post(session, phone, text) for text in PAY_ALL]


def three_keys_pay(world: World) -> None:
    """Three key presses after the dial begin exactly one payment."""
    who, session = world.caller(), new_session()
    screens = pay_all(world, session, who.phone)
    assert screens[3].startswith("END "), screens
    assert who.grouped in screens[1], screens
    assert all(s.startswith("CON ") for s in screens[:3]), screens
    assert world.attempts(who.phone) == 1, world.attempts(who.phone)


def second_request_twice(world: World) -> None:
    who, session = world.caller(), new_session()
    first = [world.post(session, who.phone, ""), world.post(session, who.phone, "1")]
    again = [world.post(session, who.phone, "1", url=url) for url in world.urls]
    assert all(a == first[1] for a in again), (first, again)
    assert world.post(session, who.phone, "1*1").startswith("CON ")


def first_request_twice(world: World) -> None:
    who, session = world.caller(), new_session()
    screens = {world.post(session, who.phone, "", url=url) for url in world.urls}
    assert len(screens) == 1, screens
    assert who.grouped in world.post(session, who.phone, "1")


def end_twice(world: World) -> None:
    who, session = world.caller(), new_session()
    end = pay_all(world, session, who.phone)[3]
    again = [world.post(session, who.phone, "1*1*1", url=url) for url in (*world.urls, *world.urls)]
    assert set(again) == {end}, (end, again)
    assert world.attempts(who.phone) == 1


def late_after_end(world: World) -> None:
    who, session = world.caller(), new_session()
    screens = pay_all(world, session, who.phone)
    late = [world.post(session, who.phone, text) for text in PAY_ALL]
    assert late == screens, (screens, late)
    assert world.post(session, who.phone, "1*1*1*1") == screens[3]
    assert world.attempts(who.phone) == 1


def first_request_with_input(world: World) -> None:
    """Digits typed ahead lead to the confirmation and never past it."""
    who, session = world.caller(), new_session()
    first = world.post(session, who.phone, "1*1*1")
    assert first.startswith("CON "), first
    assert who.grouped in first
    assert world.attempts(who.phone) == 0
    assert world.post(session, who.phone, "1*1*1*1").startswith("END ")
    assert world.attempts(who.phone) == 1


def shortcuts(world: World) -> None:
    who = world.caller()
    assert world.post(new_session(), who.phone, "7").startswith("END ")
    session = new_session()
    asked = world.post(session, who.phone, "8*5000")
    assert asked.startswith("CON ")
    assert "5 000 FC" in asked, asked
    assert world.attempts(who.phone) == 0
    assert world.post(session, who.phone, "8*5000*1").startswith("END ")
    assert world.attempts(who.phone) == 1


def reply_with_star(world: World) -> None:
    """`*` in a reply is part of that reply: one wrong answer, not two right ones."""
    who, session = world.caller(), new_session()
    world.post(session, who.phone, "")
    menu = world.post(session, who.phone, "1")
    wrong = world.post(session, who.phone, "1*1*1")
    assert wrong.startswith("CON "), wrong
    assert menu.removeprefix("CON ") in wrong, (menu, wrong)
    assert world.attempts(who.phone) == 0
    assert world.post(session, who.phone, "1*1*1*1").startswith("CON ")
    assert world.attempts(who.phone) == 0
    assert world.post(session, who.phone, "1*1*1*1*1").startswith("END ")
    assert world.attempts(who.phone) == 1


def empty_reply(world: World) -> None:
    who, session = world.caller(), new_session()
    home = world.post(session, who.phone, "")
    assert world.post(session, who.phone, "") == home
    menu = world.post(session, who.phone, "1")
    empty = world.post(session, who.phone, "1*")
    assert empty.startswith("CON "), empty
    assert menu.removeprefix("CON ") in empty, (menu, empty)
    assert who.grouped in world.post(session, who.phone, "1**1")
    assert world.attempts(who.phone) == 0


def diverging(world: World) -> None:
    who, session = world.caller(), new_session()
    world.post(session, who.phone, "")
    world.post(session, who.phone, "1")
    current = world.post(session, who.phone, "1*1")
    for other in ("2", "3", "2*1", "2*1*1", "11*1*1", "9*9*9*9"):
        assert world.post(session, who.phone, other) == current, other
    assert world.attempts(who.phone) == 0
    assert world.post(session, who.phone, "1*1*1").startswith("END ")
    assert world.attempts(who.phone) == 1


def another_number(world: World) -> None:
    who, thief, session = world.caller(), world.caller(), new_session()
    world.post(session, who.phone, "")
    world.post(session, who.phone, "1")
    for text in ("", "1", "1*1", "1*1*1"):
        answer = world.post(session, thief.phone, text)
        assert answer.startswith("END "), answer
        assert who.grouped not in answer
    other_code = world.post(session, who.phone, "1*1", service_code="*999#")
    assert other_code.startswith("END "), other_code
    assert world.post(session, who.phone, "1*1").startswith("CON ")
    assert world.attempts(who.phone) == world.attempts(thief.phone) == 0


def at_the_same_time(world: World) -> None:
    """Twelve copies of each request at once, on all processes: one answer, one payment."""
    who, session = world.caller(), new_session()
    with ThreadPoolExecutor(12) as pool:
        for text in PAY_ALL:
            copies = list(pool.map(lambda _, t=text: world.post(session, who.phone, t), range(12)))
            assert len(set(copies)) == 1, (text, set(copies))
    assert copies[0].startswith("END ")
    assert world.attempts(who.phone) == 1


def redis_emptied(world: World) -> None:
    """The session is rebuilt from its transcript; a confirmation that was given is asked again or found again."""
    if world.empty_redis is None:
        return
    who, session = world.caller(), new_session()
    screens = [world.post(session, who.phone, text) for text in PAY_ALL[:3]]
    world.empty_redis()
    assert world.post(session, who.phone, "1*1") == screens[2]
    world.empty_redis()
    asked = world.post(session, who.phone, "1*1*1")
    assert asked == screens[2], asked
    assert world.attempts(who.phone) == 0
    end = world.post(session, who.phone, "1*1*1*1")
    assert end.startswith("END ")
    world.empty_redis()
    assert world.post(session, who.phone, "1*1*1*1") == end
    assert world.attempts(who.phone) == 1


def everybody_sees_her_own(world: World, callers: int = 500, at_once: int = 20) -> None:
    """Many callers at once: each sees her own account and nobody else's."""
    people = [world.caller() for _ in range(callers)]
    accounts = {p.grouped for p in people}
    wrong: list[str] = []

    def call(who: Caller) -> None:
        session = new_session()
        world.post(session, who.phone, "")
        if random.random() < 0.3:
            world.post(session, who.phone, "")
        screen = world.post(session, who.phone, "1")
        seen = {a for a in accounts if a in screen}
        if seen != {who.grouped}:
            wrong.append(f"{who.phone} sees {seen or screen}")

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(call, people))
    assert not wrong, wrong[:5]


SCENARIOS: Mapping[str, Callable[[World], None]] = {
    "three keys pay everything": three_keys_pay,
    "first request delivered twice": first_request_twice,
    "second request delivered twice": second_request_twice,
    "END delivered twice": end_twice,
    "late earlier requests after END": late_after_end,
    "first request carries input": first_request_with_input,
    "shortcuts": shortcuts,
    "reply containing *": reply_with_star,
    "empty reply": empty_reply,
    "diverging transcript": diverging,
    "same session id from another number": another_number,
    "duplicates at the same time": at_the_same_time,
    "Redis emptied in the middle": redis_emptied,
    "500 callers, 20 at once": everybody_sees_her_own,
}


def run_all(world: World) -> dict[str, str]:
    """Play the whole table. Returns scenario → what was wrong; empty when nothing was."""
    wrong: dict[str, str] = {}
    for name, play in SCENARIOS.items():
        try:
            play(world)
        except AssertionError as error:
            wrong[name] = str(error)
    return wrong
