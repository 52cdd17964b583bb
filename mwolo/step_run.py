"""Plays step files against any address where turns are answered, as the aggregator would call it.

Speaks the fields of Africa's Talking: the whole transcript with every request, an end notification when somebody hangs
up. A story that is repeated by several workers measures; it never judges how fast anything was.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import quantiles
from urllib.parse import urlencode

from core.kernel import gsm7
from core.kernel.digits import grouped
from core.kernel.errors import PartnerError
from core.partner_http import PartnerHttp, Reply
from mwolo.step_files import Expect, StepLine, Story, WrongStepFile, carried_by

_FORM = {"content-type": "application/x-www-form-urlencoded"}
_TIMEOUT_S = 15.0
_POLL_S = 0.2
# A prompt comes 3 s after the commit, and 5 s later again while a session of that phone is open.
_PIN_WITHIN_S = 30
_NETWORK = "63001"
_BLANK = re.compile(r"\{(\w+)\.(\w+)\}")

People = Mapping[str, Mapping[str, str]]


class Failed(Exception):
    """A story did not go as written; the sentence says at which step, and what came instead."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a story is played. `url`: of turns. `sandbox`: of the box that holds PIN prompts and SMS, where there is
    one. `code`: the short code there; None: as the story dials it."""

    url: str
    sandbox: str | None = None
    code: str | None = None


@dataclass(slots=True)
class Played:
    """What came of one story. `turns_s`: how long each turn took."""

    wrong: str | None = None
    turns_s: list[float] = field(default_factory=list)


@dataclass(slots=True)
class _Phone:
    """One phone and its call. `screen`: what stands on it."""

    number: str
    session: str = ""
    text: str = ""
    screen: str = ""
    ended: bool = True
    body: str = ""
    sms_seen: int = 0


class Player:
    """Plays one story once. `say` is told every screen as it comes."""

    def __init__(
        self,
        http: PartnerHttp,
        place: Place,
        story: Story,
        people: People,
        *,
        say: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._http, self._place, self._story, self._people = http, place, story, people
        self._say = say
        self._phones = {role: _Phone(about["phone"]) for role, about in people.items()}
        self._turns_s: list[float] = []

    def play(self) -> Played:
        """All steps, or those up to the first that went wrong."""
        try:
            self._remember_sms()
            for step in self._story.steps:
                self._step(step)
        except (Failed, PartnerError) as error:
            return Played(str(error), self._turns_s)
        return Played(None, self._turns_s)

    def _step(self, step: StepLine) -> None:
        phone = self._phones[step.by]
        value = self._filled(step.value, step)
        match step.kind:
            case "dial":
                phone.session, phone.text = f"ATUid_{uuid.uuid4().hex}", carried_by(value, self._story.code)
                self._turn(phone, step, f"dials {value}")
            case "reply":
                if phone.ended:
                    raise _wrong(step, "no call is open on this phone")
                phone.text = f"{phone.text}*{value}" if phone.text else value
                self._turn(phone, step, f"types {value}")
            case "again":
                before = phone.body
                self._turn(phone, step, "sends the same again")
                if phone.body != before:
                    raise _wrong(step, "the same request got another answer", phone.body)
            case "hang up":
                self._hang_up(phone, step)
            case "enter pin":
                self._enter_pin(phone, value, step)
            case "wait for sms":
                self._wait_for_sms(phone, step)

    def _turn(self, phone: _Phone, step: StepLine, said: str) -> None:
        began = time.perf_counter()
        reply = self._post(self._place.url, {**self._fields(phone), "text": phone.text})
        self._turns_s.append(time.perf_counter() - began)
        kind, _, screen = reply.text.partition(" ")
        if not reply.ok or kind not in ("CON", "END"):
            raise _wrong(step, f"no screen came back: status {reply.status}", reply.text[:200])
        phone.body, phone.screen, phone.ended = reply.text, screen, kind == "END"
        self._say(f"{step.by} {said}\n{_indented(screen)}{'  (end)' if phone.ended else ''}")
        self._check(step, step.expect, screen, ended=phone.ended)

    def _fields(self, phone: _Phone) -> dict[str, str]:
        return {
            "sessionId": phone.session,
            "phoneNumber": phone.number,
            "networkCode": _NETWORK,
            "serviceCode": self._place.code or self._story.code,
        }

    def _post(self, url: str, fields: Mapping[str, str]) -> Reply:
        return self._http.post_text(url, urlencode(fields), headers=_FORM, timeout_s=_TIMEOUT_S, read_errors=True)

    def _hang_up(self, phone: _Phone, step: StepLine) -> None:
        """The line drops: the aggregator says so, and no word of it reaches the phone."""
        told = {"status": "Incomplete", "durationInMillis": "20000", "hopsCount": "2", "input": ""}
        reply = self._post(f"{self._place.url}/end", {**self._fields(phone), **told})
        if not reply.ok:
            raise _wrong(step, f"the end of the call was not taken: status {reply.status}")
        phone.ended = True
        self._say(f"{step.by} hangs up")

    def _enter_pin(self, phone: _Phone, pin: str, step: StepLine) -> None:
        """Answer the wallet's prompt on this phone, as soon as it is there."""
        url = f"{self._box(step)}/sandbox/api/prompts/{phone.number}"
        until = time.monotonic() + _PIN_WITHIN_S
        while True:
            reply = self._http.post_json(url, {"pin": pin}, timeout_s=_TIMEOUT_S)
            if reply.ok:
                self._say(f"{step.by} enters the wallet's PIN: {reply.text_at('outcome')}")
                return
            if time.monotonic() > until:
                raise _wrong(step, f"no wallet asked for a PIN within {_PIN_WITHIN_S} s")
            time.sleep(_POLL_S)

    def _remember_sms(self) -> None:
        """Texts from before the story are not what it waits for."""
        for step in self._story.steps:
            if step.kind == "wait for sms":
                phone = self._phones[step.by]
                phone.sms_seen = max((int(str(one["id"])) for one in self._texts(phone, step)), default=0)

    def _wait_for_sms(self, phone: _Phone, step: StepLine) -> None:
        until = time.monotonic() + step.within_s
        while True:
            texts = self._texts(phone, step)
            for one in texts:
                if not list(self._faults(step, step.expect, str(one["text"]), ended=None)):
                    phone.sms_seen = int(str(one["id"]))
                    self._say(f"{step.by} gets an SMS\n{_indented(str(one['text']))}")
                    return
            if time.monotonic() > until:
                came = " | ".join(str(one["text"]) for one in texts) or "none"
                raise _wrong(step, f"no such SMS within {step.within_s} s", came)
            time.sleep(_POLL_S)

    def _texts(self, phone: _Phone, step: StepLine) -> Sequence[Mapping[str, object]]:
        asked = {"phone": phone.number, "after": str(phone.sms_seen)}
        reply = self._http.get_json(f"{self._box(step)}/sandbox/api/sms", params=asked, timeout_s=_TIMEOUT_S)
        return [one for one in reply.json if isinstance(one, dict)] if isinstance(reply.json, list) else []

    def _box(self, step: StepLine) -> str:
        if self._place.sandbox is None:
            raise _wrong(step, "needs a sandbox: --sandbox says where it is")
        return self._place.sandbox.rstrip("/")

    def _check(self, step: StepLine, expect: Expect, text: str, *, ended: bool | None) -> None:
        for what in self._faults(step, expect, text, ended=ended):
            raise _wrong(step, what, text)

    def _faults(self, step: StepLine, expect: Expect, text: str, *, ended: bool | None) -> list[str]:
        wrong = [f"{w!r} is missing" for x in expect.contains if (w := self._filled(x, step)) not in text]
        wrong += [f"{w!r} should not be there" for x in expect.lacks if (w := self._filled(x, step)) in text]
        if expect.equals is not None and text != self._filled(expect.equals, step):
            wrong.append(f"it should be {self._filled(expect.equals, step)!r}")
        cost = gsm7.septets(text)
        if expect.septets is not None and (cost is None or cost > expect.septets):
            wrong.append(f"{cost or 'uncountable'} septets, at most {expect.septets} may be")
        if expect.ended is not None and ended is not None and ended != expect.ended:
            wrong.append("the call should have ended" if expect.ended else "the call should go on")
        return wrong

    def _filled(self, text: str, step: StepLine) -> str:
        def known(blank: re.Match[str]) -> str:
            role, what = blank.groups()
            about = self._people.get(role, {})
            if what == "grouped" and "account" in about:
                return grouped(about["account"])
            if what not in about:
                raise _wrong(step, f"nobody said what {blank.group()} is")
            return about[what]

        return _BLANK.sub(known, text)


def _wrong(step: StepLine, what: str, came: str | None = None) -> Failed:
    shown = "" if came is None else f"\n{_indented(came)}"
    return Failed(f"step {step.number}, {step.kind}: {what}{shown}")


def _indented(text: str) -> str:
    return "\n".join(f"    {row}" for row in text.split("\n"))


@dataclass(frozen=True, slots=True)
class Rates:
    """How a load went. Times are of single turns, in seconds, as the caller saw them."""

    stories: int
    wrong: tuple[str, ...]
    turns: int
    took_s: float
    median_s: float
    p95_s: float
    longest_s: float

    def __str__(self) -> str:
        per_s = self.turns / self.took_s if self.took_s else 0.0
        return (
            f"{self.stories} stories, {len(self.wrong)} wrong; {self.turns} turns in {self.took_s:.1f} s = {per_s:.0f} "
            f"turns/s; a turn: median {self.median_s * 1000:.1f} ms, 95% under {self.p95_s * 1000:.1f} ms, longest "
            f"{self.longest_s * 1000:.1f} ms"
        )


def load(
    http: PartnerHttp, place: Place, story: Story, people: Sequence[People], *, repeat: int, workers: int
) -> Rates:
    """Play a story `repeat` times, `workers` at a time, by turns with each of `people`."""

    def once(n: int) -> Played:
        return Player(http, place, story, people[n % len(people)]).play()

    began = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        played = list(pool.map(once, range(repeat)))
    took_s = time.perf_counter() - began
    turns = sorted(t for one in played for t in one.turns_s) or [0.0]
    cuts = quantiles(turns, n=20) if len(turns) > 1 else turns * 19
    wrong = tuple(one.wrong for one in played if one.wrong is not None)
    return Rates(repeat, wrong, sum(len(one.turns_s) for one in played), took_s, cuts[9], cuts[18], turns[-1])


def cast(
    http: PartnerHttp,
    place: Place,
    story: Story,
    crowd: Sequence[Mapping[str, str]],
    agents: Sequence[Mapping[str, str]] = (),
) -> list[People]:
    """Give the roles that have an account to a crowd, each person who can leading once, and those that have a PIN to
    agents; strangers stay strangers. No crowd: as the story says. Raises WrongStepFile."""
    roles = [role for role, about in story.people.items() if "account" in about]
    sellers = [role for role, about in story.people.items() if "pin" in about]
    known = {**story.people, **dict(zip(sellers, agents, strict=False))}
    if not crowd or not roles:
        return [known]
    able = {role: [one for one in crowd if _may_play(http, place, story, role, one)] for role in roles}
    casts: list[People] = []
    for n, lead in enumerate(able[roles[0]]):
        chosen: dict[str, Mapping[str, str]] = {roles[0]: lead}
        for role in roles[1:]:
            free = [one for one in able[role] if all(one["phone"] != taken["phone"] for taken in chosen.values())]
            if free:
                chosen[role] = free[n % len(free)]
        if len(chosen) == len(roles):
            casts.append({**known, **chosen})
    if not casts:
        raise WrongStepFile(f"{story.name}: nobody there can play {', '.join(roles)}")
    return casts


def _may_play(http: PartnerHttp, place: Place, story: Story, role: str, person: Mapping[str, str]) -> bool:
    test = story.casting.get(role)
    if test is None:
        return True
    alone = Story(story.name, {role: person}, (test,), story.code)
    return Player(http, place, alone, alone.people).play().wrong is None
