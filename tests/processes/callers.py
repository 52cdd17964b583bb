"""Callers on a network that repeats, delays and loses, and what the same callers see on one that does not.

Each caller has a double of the same kind. Whatever she types, the double types first: on the same code in this process,
with a Redis of its own, each transcript once and in order. That is the clean run. What comes back over the network must
be the same, word for word.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from urllib.parse import urlencode, urlsplit

import redis

from channels.ussd.gateway import Turn
from channels.ussd.gateways.africastalking import AfricasTalkingUssd
from channels.ussd.sessions import Claimed, Outcome, SessionKeys, SessionStore
from core.turns.model import TurnEntry
from mwolo.wiring import Wiring
from tests.processes.crowd import Person

CODE = "*123#"
NETWORK = "63001"
# Behind these something has been done that is done anew when the way there is typed again, or is said otherwise.
NOT_TWICE = frozenset({"language", "agent.proof", "agent.taken_back", "agent.repeat_pin"})
# What was done here ended the session, and its END stands in the database.
END_IS_KEPT = frozenset({"pay.begun", "agent.sold", "report.done"})
KEY = re.compile(r"^(\d{1,2})\. ", re.MULTILINE)
_GATEWAY = AfricasTalkingUssd()


@dataclass(frozen=True, slots=True)
class Move:
    """What happens to one caller in one round.

    `what`: `reply`, or nothing, or something that must change nothing (`copy`, `stranger`, `diverge`), or the call is
    dropped and dialled again (`redial`). `key`: which of the keys on the screen, None for `text`. `lost`: the answer
    gets lost, the request comes again. `together`: copies at the same moment; `later`: copies after the answer, on the
    other process. `back`: which earlier request comes again meanwhile, counted from the newest.
    """

    what: str = "nothing"
    key: int | None = 0
    text: str = "1"
    lost: bool = False
    together: int = 0
    later: int = 0
    back: int = 0

    @property
    def calm(self) -> Move:
        """The same, and every request comes once."""
        return replace(self, lost=False, together=0, later=0, back=0)


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer without numbers of people in it. `state`: where the menu stood then, as its journal says."""

    text: str
    state: str

    @property
    def ended(self) -> bool:
        return self.text.startswith("END")


class NotingStore(SessionStore):
    """Remembers for each thread which state its last turn came to."""

    def __init__(self, client: redis.Redis, secret: bytes) -> None:
        super().__init__(client, secret)
        self._here = threading.local()

    def state(self) -> str:
        """Empty when the turn was answered without running. Asked once."""
        return str(self._here.__dict__.pop("state", ""))

    def write(self, keys: SessionKeys, claimed: Claimed, outcome: Outcome) -> bytes | None:
        self._here.state = TurnEntry.from_json(outcome.journal).state
        return super().write(keys, claimed, outcome)


class CleanWiring(Wiring):
    """The product as it is wired, with a store that says where the menu stands."""

    @cached_property
    def ussd_sessions(self) -> NotingStore:
        return NotingStore(self.turn_redis, self.settings.key.encode())


class CleanRun:
    """One process, no network: every transcript comes once and in order."""

    def __init__(self, wiring: CleanWiring) -> None:
        self._turns, self._store = wiring.ussd_turns(lambda _outcome: None), wiring.ussd_sessions

    def send(self, session: str, person: Person, transcript: str) -> Seen:
        turn = Turn(_GATEWAY.name, session, person.phone, CODE, NETWORK, transcript)
        answer = self._turns.answer(_GATEWAY, turn).decode()
        return Seen(person.neutral(answer), self._store.state())


class Wires:
    """Connections to the web processes, kept open; each thread has its own."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = [urlsplit(url) for url in urls]
        self._mine = threading.local()
        self.count = len(urls)

    def post(self, door: int, session: str, phone: str, transcript: str) -> str:
        """The body of the answer."""
        status, body = self._exchange(door, self._request(door, session, phone, {"text": transcript}))
        assert status == 200, status
        assert body.startswith((b"CON ", b"END ")), body
        return body.decode()

    def end(self, session: str, phone: str, transcript: str) -> None:
        """Tell that the network ended a session, with all that was typed in it, as aggregators do."""
        fields = {"status": "Success", "durationInMillis": "30000", "hopsCount": "4", "input": transcript}
        status, _ = self._exchange(0, self._request(0, session, phone, fields, "/end"))
        assert status == 200, status

    def lose(self, door: int, session: str, phone: str, transcript: str) -> socket.socket:
        """Send a request whose answer nobody reads."""
        wire = self._connect(door)
        wire.sendall(self._request(door, session, phone, {"text": transcript}))
        return wire

    def _exchange(self, door: int, request: bytes) -> tuple[int, bytes]:
        """Status and body. A connection that was closed while idle is made again: one more copy, at worst."""
        kept: dict[int, socket.socket] = self._mine.__dict__.setdefault("kept", {})
        for wire in (kept.pop(door % self.count, None), None):
            wire = wire or self._connect(door)
            with contextlib.suppress(ConnectionError):
                wire.sendall(request)
                answer = _answer(wire)
                kept[door % self.count] = wire
                return answer
            wire.close()
        raise AssertionError("the web process does not answer")

    def _connect(self, door: int) -> socket.socket:
        url = self._urls[door % self.count]
        wire = socket.create_connection((str(url.hostname), int(url.port or 0)), timeout=60)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return wire

    def _request(self, door: int, session: str, phone: str, more: Mapping[str, str], under: str = "") -> bytes:
        fields = {"sessionId": session, "phoneNumber": phone, "serviceCode": CODE, "networkCode": NETWORK, **more}
        body = urlencode(fields).encode()
        head = (
            f"POST {self._urls[door % self.count].path}{under} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


def _answer(wire: socket.socket) -> tuple[int, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(wire)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += _more(wire)
    return int(lines[0].split()[1]), body


def _more(wire: socket.socket) -> bytes:
    data = wire.recv(65536)
    if not data:
        raise ConnectionResetError("closed")
    return data


@dataclass
class Call:
    """One session, of the caller and of her double.

    `keys`: what was typed, as templates; `clean`: the double's screens, the dial's first; `sent`: the caller's
    transcripts, and what must be answered to each when it comes again. `forgotten`: Redis was emptied since.
    """

    session: str = field(default_factory=lambda: f"ATUid_{uuid.uuid4().hex}")
    keys: list[str] = field(default_factory=list)
    clean: list[Seen] = field(default_factory=list)
    own: str = ""
    doubles: str = ""
    sent: list[tuple[str, Seen]] = field(default_factory=list)
    forgotten: bool = False

    @property
    def now(self) -> Seen:
        return self.clean[-1]


class Caller:
    """One phone. Every method may be called by any thread, one at a time."""

    def __init__(
        self,
        person: Person,
        double: Person,
        wires: Wires,
        clean: CleanRun,
        pool: ThreadPoolExecutor,
        *,
        is_guarded: Callable[[str], bool],
        fitting: Callable[[str], str | None],
        forget_resume: Callable[[Person], None],
        patient: bool,
    ) -> None:
        """`is_guarded`: whether typed-ahead digits stop at this state. `fitting`: what a state without keys asks for.
        `forget_resume`: both sides forget the payment that waited for its confirmation. `patient`: a lost answer is
        waited for, so that its request is not carried out after Redis was emptied, when it would be news."""
        self.person, self.double = person, double
        self._wires, self._clean, self._pool = wires, clean, pool
        self._is_guarded, self._fitting, self._forget_resume = is_guarded, fitting, forget_resume
        self._patient = patient
        self._shaken = False
        self.asked_again = 0
        self._door = 0
        self.calls: list[Call] = []
        self.call: Call | None = None
        self.story: list[str] = []
        self.states: set[str] = set()

    def dial(self, carried: str, move: Move) -> None:
        self.call = call = Call()
        self.calls.append(call)
        self.story.append(f"dials with {carried!r}")
        if self._shaken:
            # Who was asked again has put a payment down again; the double, who was not, has not.
            self._forget_resume(self.person)
            self._forget_resume(self.double)
            self._shaken = False
        call.own, call.doubles = self.person.types(carried), self.double.types(carried)
        self._advance(call, carried, move)

    def play(self, move: Move) -> None:
        """One round."""
        call = self.call
        if call is not None and call.forgotten and call.now.ended:
            self._end_again(call)
        elif call is None or move.what == "redial" or (call.now.ended and move.what == "reply"):
            self.dial("", move)
        elif move.what == "reply":
            self._reply(call, move)
        elif not call.forgotten:
            self._disturb(call, move)

    def forget(self) -> None:
        """Redis was emptied. A call whose way cannot be found again from its transcript alone is given up."""
        call = self.call
        self._shaken = True
        if call is None:
            return
        self.story.append("Redis is emptied")
        call.forgotten = True
        call.sent.clear()
        starred = any("*" in key for key in call.keys[1:])
        resumed = len(self.calls) > 1 and not call.keys[0]
        states = [seen.state for seen in call.clean]
        ended = call.now.ended and call.now.state not in END_IS_KEPT
        if starred or resumed or ended or NOT_TWICE.intersection(states) or states.count("agent.pin") > 1:
            self.call = None

    # -- what happens to a call

    def _reply(self, call: Call, move: Move) -> None:
        typed = self._typed(call.now, move)
        if call.forgotten:
            # A `*` within a reply cannot be told from two replies where nothing is known of the session.
            typed = typed.replace("*", "")
        self.story.append(f"types {typed!r}")
        call.own = joined(call.own, self.person.types(typed))
        call.doubles = joined(call.doubles, self.double.types(typed))
        self._advance(call, typed, move)

    def _typed(self, seen: Seen, move: Move) -> str:
        keys = KEY.findall(seen.text)
        if move.key is None:
            return move.text
        wanted = self._fitting(seen.state)
        ways = [*([wanted] * 3 if wanted else []), *keys]
        return ways[move.key % len(ways)] if ways else move.text

    def _advance(self, call: Call, typed: str, move: Move) -> None:
        """The double goes first, then the caller, with all that the network does to her."""
        expected = self._clean.send(call.session + "-double", self.double, call.doubles)
        if not expected.state:
            expected = replace(expected, state=call.now.state)
        self.states.add(expected.state)
        call.keys.append(typed)
        call.clean.append(expected)
        if call.forgotten:
            self._find_again(call)
        else:
            self._deliver(call, move, expected)
        call.sent.append((call.own, expected))

    def _deliver(self, call: Call, move: Move, expected: Seen) -> None:
        """The newest transcript, with its copies, and old ones at the same moment."""
        door = self._next_door()
        lost = self._wires.lose(door, call.session, self.person.phone, call.own) if move.lost else None
        if lost and not self._patient:
            lost.close()
        elsewhere: list[tuple[Seen, str, Future[str]]] = []
        for n in range(move.together):
            elsewhere.append((expected, call.own, self._post_elsewhere(call, call.own, door + n + 1)))
        if move.back and call.sent:
            old, its_answer = call.sent[-1 - (move.back - 1) % len(call.sent)]
            elsewhere.append((its_answer, old, self._post_elsewhere(call, old, door + 1)))
        self._same(call, call.own, self._post(call, call.own, door), expected)
        for answer, transcript, future in elsewhere:
            self._same(call, transcript, future.result(), answer)
        for n in range(move.later):
            self._same(call, call.own, self._post(call, call.own, door + 1 + n), expected)
        if lost and self._patient:
            _answer(lost)
            lost.close()

    def _find_again(self, call: Call) -> None:
        """Redis was emptied before this request, or while it runs. What was asked for may be asked again: then the
        caller types again what she had typed from there on."""
        call.forgotten = False
        expected = call.now
        got = self.person.neutral(self._post(call, call.own, self._next_door()))
        # The first of them is where the replies of a transcript stop to be taken.
        back = next((n for n, seen in enumerate(call.clean[:-1]) if self._is_guarded(seen.state)), None)
        if got == expected.text:
            if back is not None and got == call.clean[back].text:
                # Two steps that ask in the same words, as for a PIN: which of them this is, only the next reply tells.
                self.story.append("hangs up")
                self.call = None
            return
        assert back is not None, self._wrong(call, call.own, got, expected.text)
        # Drawn without the line that answers a wrong key: the replies after it were not looked at.
        assert got == call.clean[back].text, self._wrong(call, call.own, got, call.clean[back].text)
        self.story.append(f"is asked again: {got!r}")
        self.asked_again += 1
        self._type_again(call, back, once_more=True)

    def _type_again(self, call: Call, back: int, *, once_more: bool) -> None:
        for key, seen in zip(call.keys[back + 1 :], call.clean[back + 1 :], strict=True):
            call.own = joined(call.own, self.person.types(key))
            got = self.person.neutral(self._post(call, call.own, self._next_door()))
            if once_more and got != seen.text and got == call.clean[back].text:
                # Whoever empties Redis meanwhile was slow, and did it after she had been asked.
                self.story.append(f"is asked once more: {got!r}")
                self._type_again(call, back, once_more=False)
                return
            assert got == seen.text, self._wrong(call, call.own, got, seen.text)

    def _end_again(self, call: Call) -> None:
        """The END once more, from every process, though Redis knows nothing of it; then the phone is put down."""
        for door in range(self._wires.count):
            self._same(call, call.own, self._post(call, call.own, door), call.now)
        self.call = None

    def _disturb(self, call: Call, move: Move) -> None:
        """Something comes that must change nothing."""
        door = self._next_door()
        match move.what:
            case "copy":
                transcript, its_answer = call.sent[-1 - move.back % len(call.sent)]
                self._same(call, transcript, self._post(call, transcript, door), its_answer)
            case "stranger":
                answer = self._wires.post(door, call.session, "+243899999999", joined(call.own, "1"))
                assert answer.startswith("END "), answer
                numbers = (*self.person.accounts, self.person.phone)
                assert not any(number in answer.replace(" ", "") for number in numbers), answer
            case "diverge" if call.own:
                other = ("9" if call.own[0] != "9" else "8") + call.own[1:] + "*1" * move.together
                self._same(call, other, self._post(call, other, door), call.now)

    # -- the wire

    def _next_door(self) -> int:
        self._door += 1
        return self._door

    def _post(self, call: Call, transcript: str, door: int) -> str:
        return self._wires.post(door, call.session, self.person.phone, transcript)

    def _post_elsewhere(self, call: Call, transcript: str, door: int) -> Future[str]:
        return self._pool.submit(self._post, call, transcript, door)

    def _same(self, call: Call, transcript: str, got: str, expected: Seen) -> None:
        neutral = self.person.neutral(got)
        assert neutral == expected.text, self._wrong(call, transcript, neutral, expected.text)

    def _wrong(self, call: Call, transcript: str, got: str, expected: str) -> str:
        told = "\n  ".join([*self.story, *(f"[{seen.state}] {seen.text!r}" for seen in call.clean)])
        return (
            f"{self.person.kind}: the answer to {self.person.neutral(transcript)!r} is not that of the clean run\n"
            f"got      {got!r}\nexpected {expected!r}\n  {told}"
        )


def joined(transcript: str, typed: str) -> str:
    return f"{transcript}*{typed}" if transcript else typed
