"""When a text may leave, and when it may not. Pure: no database, no clock."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from core.notices.texts import Kind

# Published good practice for SMS in the country: nothing that can wait between 20:00 and 08:00 local time.
QUIET_FROM = time(20, 0)
QUIET_UNTIL = time(8, 0)
# What people send to be left alone. First word, accents and case do not matter.
STOP_WORDS = frozenset({"STOP", "STOPPER", "ARRET", "ARRETER", "ARRETEZ", "UNSUBSCRIBE"})

DeliveryState = Literal["sent", "failed", "delivered"]
# Reports move a notice up this ladder, never down. "failed" may still become "delivered": a handset that was off all
# day can get a text its operator had given up, and a delivery that really happened is the stronger word.
_LADDER = {"queued": 0, "sending": 1, "unknown": 2, "sent": 3, "failed": 4, "delivered": 5}


@dataclass(frozen=True, slots=True)
class Times:
    """`not_before` and `expires_at`: business time, UTC."""

    not_before: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Suppressed:
    """It is written down and never leaves. `why` is for the console."""

    why: str


def in_quiet_hours(at: datetime, zone: str) -> bool:
    """Whether it is night for people at a site: from 20:00 up to, not including, 08:00."""
    local = at.astimezone(ZoneInfo(zone)).time()
    return local >= QUIET_FROM or local < QUIET_UNTIL


def morning_after(at: datetime, zone: str) -> datetime:
    """The next 08:00 at a site, in UTC; `at` itself when that is exactly 08:00."""
    local = at.astimezone(ZoneInfo(zone))
    day = local.date() if local.time() <= QUIET_UNTIL else local.date() + timedelta(days=1)
    return datetime.combine(day, QUIET_UNTIL, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def earliest(kind: Kind, at: datetime, zone: str) -> datetime:
    """The first moment from `at` on at which a notice of `kind` may leave."""
    if kind.quiet and in_quiet_hours(at, zone):
        return morning_after(at, zone)
    return at


def local_day(at: datetime, zone: str) -> tuple[datetime, datetime]:
    """Midnight to midnight around `at`, as people at a site count days, in UTC."""
    here = ZoneInfo(zone)
    day = at.astimezone(here).date()
    starts = datetime.combine(day, time(0), tzinfo=here)
    ends = datetime.combine(day + timedelta(days=1), time(0), tzinfo=here)
    return starts.astimezone(UTC), ends.astimezone(UTC)


def standing(plan: Times | Suppressed, now: datetime, kind: Kind) -> dict[str, Any]:
    """What a plan makes of a notice's row: when it may leave and until when, its state, and why not."""
    if isinstance(plan, Suppressed):
        return {"not_before": now, "expires_at": now + kind.ttl, "state": "suppressed", "detail": plan.why}
    return {"not_before": plan.not_before, "expires_at": plan.expires_at, "state": "queued", "detail": ""}


def plan(kind: Kind, at: datetime, zone: str, *, opted_out: bool, planned: tuple[datetime, ...]) -> Times | Suppressed:
    """Decide on one notice. `planned`: the moments at which earlier ones of this kind leave for the same number.

    Over the cap, a text that must be said moves to the next morning; one that would be stale by then is dropped.
    """
    if opted_out and kind.optional:
        return Suppressed("opted out")
    start = earliest(kind, at, zone)
    if kind.daily_cap is not None:
        while _on_day(planned, start, zone) >= kind.daily_cap:
            if kind.over_cap == "never":
                return Suppressed("daily cap")
            _, next_midnight = local_day(start, zone)
            start = morning_after(next_midnight, zone)
    return Times(start, start + kind.ttl)


def _on_day(planned: tuple[datetime, ...], at: datetime, zone: str) -> int:
    starts, ends = local_day(at, zone)
    return sum(starts <= moment < ends for moment in planned)


def further(now_in: str, said: DeliveryState) -> str:
    """The state after a report: the further of the two. A notice that never left (expired, suppressed) stays so."""
    if now_in not in _LADDER:
        return now_in
    return said if _LADDER[said] > _LADDER[now_in] else now_in


def is_stop(body: str) -> bool:
    """Whether an inbound text asks us to stop: `STOP`, `Arrêt`, `stop svp`."""
    plain = unicodedata.normalize("NFD", body).encode("ascii", "ignore").decode()
    words = "".join(c if c.isalnum() else " " for c in plain).upper().split()
    return bool(words) and words[0] in STOP_WORDS
