"""Sessions on Redis: one script to claim a turn and read its session, one to write what came of it.

A session is one hash: owner, state, the length and keyed hash of the transcript processed so far, the current answer,
and every earlier answer under its own (length, hash). The transcript itself is never stored: it may hold a PIN.
Redis may be emptied at any time; `docs/ussd.md` says what that costs.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import date
from typing import Final

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from channels.ussd.gateway import EndNotice
from channels.ussd.scripts import Script, Scripts
from core.kernel.clock import Clock
from core.turns.model import EndEntry

# Carriers drop a session after 90 to 180 s. Keeping ours longer only brings dead menus back to life.
SESSION_TTL_S = 180
# Answers are remembered longer than sessions live, for requests that are delivered again late.
REPLAY_TTL_S = 600
# The longest silence a network is known to bear. After that the phone is free for the operator's prompt.
OPEN_TTL_S = 60
# The longest honest turn waits twice for the database: 4 s. Whoever holds the lock longer has crashed.
LOCK_MS = 5000
RESUME_TTL_S = 600
# Nobody drains the journal: the oldest turns are dropped, not the memory of the server.
JOURNAL_MAX = 100_000
JOURNAL = "ussd:journal"

_CLAIM = Script(
    """
local r = redis.call('HMGET', KEYS[1], 'owner', 'length', 'hash', 'state', 'answer', 'turns', 'day', 'ended', 'at',
                     'j:' .. ARGV[2] .. ':' .. ARGV[3])
local now = tonumber(redis.call('TIME')[1])
if r[1] then
  if r[1] ~= ARGV[1] then return {'other'} end
  if r[10] then return {'answer', r[10]} end
  if r[8] == '1' or tonumber(ARGV[2]) <= tonumber(r[2]) then return {'answer', r[5]} end
  if now - tonumber(r[9]) > tonumber(ARGV[6]) then return {'over'} end
end
local held = redis.call('GET', KEYS[2])
if held and held ~= ARGV[4] then return {'wait'} end
redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[5])
if r[1] then return {'run', r[2], r[3], r[4], r[5], r[6], r[7]} end
return {'new', redis.call('GET', KEYS[3])}
""",
    keys=3,
)

_WRITE = Script(
    """
local field = 'j:' .. ARGV[3] .. ':' .. ARGV[4]
local r = redis.call('HMGET', KEYS[1], 'turns', field)
if r[2] then return r[2] end
local held = redis.call('GET', KEYS[2])
if held ~= ARGV[1] and (held or (r[1] or '0') ~= ARGV[8]) then return false end
redis.call('HSET', KEYS[1], 'owner', ARGV[2], 'length', ARGV[3], 'hash', ARGV[4], 'answer', ARGV[5], 'state', ARGV[6],
           'ended', ARGV[7], 'turns', ARGV[8] + 1, 'day', ARGV[9], 'at', redis.call('TIME')[1], field, ARGV[5])
redis.call('EXPIRE', KEYS[1], ARGV[10])
redis.call('DEL', KEYS[2])
if ARGV[7] == '1' then
  if redis.call('GET', KEYS[3]) == KEYS[1] then redis.call('DEL', KEYS[3]) end
else
  redis.call('SET', KEYS[3], KEYS[1], 'EX', ARGV[11])
end
if ARGV[12] == '' then redis.call('DEL', KEYS[4]) elseif ARGV[12] ~= '=' then
  redis.call('SET', KEYS[4], ARGV[12], 'EX', ARGV[13])
end
if redis.call('RPUSH', KEYS[5], ARGV[14]) > tonumber(ARGV[15]) then redis.call('LPOP', KEYS[5]) end
return ARGV[5]
""",
    keys=5,
)

# A session that is over frees the phone; one that was replaced by a newer one on the same phone does not.
_CLOSE = Script("if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0", keys=1)
_RELEASE = _CLOSE
_END = Script(
    """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
if redis.call('RPUSH', KEYS[2], ARGV[2]) > tonumber(ARGV[3]) then redis.call('LPOP', KEYS[2]) end
return 1
""",
    keys=2,
)

KEEP_RESUME: Final = "="
FORGET_RESUME: Final = ""


def connect(url: str, *, timeout_s: float = 1.5) -> redis.Redis:
    """A client for turns: short timeouts and one more try. Both scripts may run twice with the same result."""
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 1),
        health_check_interval=0,
    )


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """Where one session and its caller stand on Redis, and what tells its owner apart. All keyed hashes."""

    session: str
    lock: str
    opened: str
    resume: str
    owner: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """The turn is ours to run. `state` None: nothing is known of the session. `length` -1: nothing processed yet."""

    token: str
    state: bytes | None
    length: int
    digest: str
    current: bytes
    turns: int
    day: date
    resume: bytes | None


@dataclass(frozen=True, slots=True)
class Stored:
    """Nothing to run: these bytes are the answer."""

    answer: bytes


@dataclass(frozen=True, slots=True)
class Busy:
    """Somebody else runs a turn of this session right now."""


@dataclass(frozen=True, slots=True)
class OtherCaller:
    """The session belongs to another number or service code."""


@dataclass(frozen=True, slots=True)
class Over:
    """The network let go of this session long ago."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a turn leaves behind. `resume`: bytes to keep, KEEP_RESUME or FORGET_RESUME."""

    length: int
    digest: str
    answer: bytes
    state: str
    ended: bool
    resume: str
    journal: str


class SessionStore:
    """The Redis side of turns. Every method may raise redis.exceptions.RedisError."""

    def __init__(self, client: redis.Redis, secret: bytes) -> None:
        self._run = Scripts(client).run
        self._key = hmac.digest(secret, b"ussd", "sha256")

    def digest(self, text: str) -> str:
        """A keyed hash: what is stored instead of a transcript, a session id or a number."""
        return hmac.digest(self._key, text.encode(), "sha256").hex()[:32]

    def keys(self, gateway: str, session_id: str, phone: str, service_code: str) -> SessionKeys:
        session, caller = self.digest(f"s|{gateway}|{session_id}"), self.digest(f"p|{phone}")
        owner = self.digest(f"o|{phone}|{service_code}")
        return SessionKeys(
            f"ussd:s:{session}", f"ussd:l:{session}", f"ussd:open:{caller}", f"ussd:go_on:{caller}", owner
        )

    def claim(
        self, keys: SessionKeys, *, length: int, digest: str, token: str, today: date
    ) -> Claimed | Stored | Busy | OtherCaller | Over:
        """Take the turn whose transcript has this length and hash, or say why not. `token` is the same on a retry."""
        what, *rest = self._run(
            _CLAIM, keys.session, keys.lock, keys.resume, keys.owner, length, digest, token, LOCK_MS, SESSION_TTL_S
        )
        match what:
            case b"answer":
                return Stored(rest[0])
            case b"run":
                done, done_digest, state, current, turns, day = rest
                since = date.fromisoformat(day.decode())
                return Claimed(token, state, int(done), done_digest.decode(), current, int(turns), since, None)
            case b"new":
                return Claimed(token, None, -1, "", b"", 0, today, rest[0])
            case b"wait":
                return Busy()
            case b"over":
                return Over()
        return OtherCaller()

    def write(self, keys: SessionKeys, claimed: Claimed, outcome: Outcome) -> bytes | None:
        """Keep what came of the turn. Returns the answer to give: ours, or the one that was there first; None when
        somebody else has taken the turn over and is not done."""
        stored: bytes | None = self._run(
            _WRITE,
            keys.session,
            keys.lock,
            keys.opened,
            keys.resume,
            JOURNAL,
            claimed.token,
            keys.owner,
            outcome.length,
            outcome.digest,
            outcome.answer,
            outcome.state,
            "1" if outcome.ended else "0",
            claimed.turns,
            claimed.day.isoformat(),
            REPLAY_TTL_S,
            OPEN_TTL_S,
            outcome.resume,
            RESUME_TTL_S,
            outcome.journal,
            JOURNAL_MAX,
        )
        return stored

    def release(self, keys: SessionKeys, claimed: Claimed) -> None:
        """Give a claimed turn back without running it."""
        self._run(_RELEASE, keys.lock, claimed.token)

    def close(self, keys: SessionKeys, journal: str) -> None:
        """The network says that the session is over: the phone is free, and the journal has it."""
        self._run(_END, keys.opened, JOURNAL, keys.session, journal, JOURNAL_MAX)


class RedisSessionEnds:
    """Takes the news that a session is over, and hands it to the journal. Repeats, and news that comes late, change
    nothing else."""

    def __init__(self, store: SessionStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def ended(self, notice: EndNotice) -> None:
        keys = self._store.keys(notice.gateway, notice.session_id, notice.phone, notice.service_code)
        entry = EndEntry(
            gateway=notice.gateway,
            session_id=notice.session_id,
            phone=notice.phone,
            service_code=notice.service_code,
            network=notice.network_code,
            status=notice.status,
            reason=notice.reason,
            duration_ms=notice.duration_ms,
            hops=notice.hops,
            day=self._clock.real_now().date().isoformat(),
            at=self._clock.now().isoformat(),
        )
        self._store.close(keys, entry.to_json())


class RedisOpenSessions:
    """Whether a phone has a session open: an operator's prompt would not appear. Without Redis the answer is no, and
    the push goes out."""

    def __init__(self, store: SessionStore, client: redis.Redis) -> None:
        self._store = store
        self._client = client

    def has_open(self, phone: str) -> bool:
        try:
            return bool(self._client.exists(self._store.keys("", "", phone, "").opened))
        except RedisError:
            return False
