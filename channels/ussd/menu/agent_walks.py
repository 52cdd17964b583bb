"""An agent's ways through the menu, for the page of journeys and the map: what is typed, and what came of each deed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.agents.model import AgentRole
from core.kernel.digits import with_check
from core.payments.model import BeginRefused

KIOSK = AgentRole(1, "A001", "Kiosque Zala", "CDF")
_ACCOUNT = with_check("100000001")
# Typed at PIN steps: the page shows stars.
_PIN, _NEW = "482163", "904175"
_WON = {"name": "M*** K***", "commission": 10_000, "left": 9_500_000, "told": True, "again": False}
_SOLD = {"told": True, "code": "310 447 26"}
_SALE = {
    "code": "31044726", "account": _ACCOUNT, "minor": 500_000, "commission": 10_000, "at": "24/11", "left": 3,
    "proof": "failed",
}  # fmt: skip
_EARLIER = {**_SALE, "code": "77120943", "minor": 300_000, "proof": "delivered"}


def _no(code: str, minor: int | None = None, wait: int = 0) -> Mapping[str, Any]:
    return {"refused": code, "minor": minor, "wait": wait}


@dataclass(frozen=True, slots=True)
class AgentWalk:
    about: str
    replies: tuple[str, ...]
    dids: tuple[Mapping[str, Any], ...] = ()
    refusal: BeginRefused | None = None


AGENT_WALKS: tuple[AgentWalk, ...] = (
    AgentWalk(
        "A sale: six entries with the dial, and the code in the last word.",
        ("1", _PIN, _ACCOUNT, "5000", "1"),
        ({}, _WON, _SOLD),
    ),
    AgentWalk(
        "A sale where no phone is confirmed.",
        ("1", _PIN, _ACCOUNT, "5000", "1"),
        ({}, {**_WON, "told": False}, {**_SOLD, "told": False}),
    ),
    AgentWalk(
        "The same sale a moment ago: asked, and made again.",
        ("1", _PIN, _ACCOUNT, "5000", "1", "1"),
        ({}, _no("sold_just_now", 500_000), {**_WON, "again": True}, _SOLD),
    ),
    AgentWalk(
        "Not enough float, another amount.",
        ("1", _PIN, _ACCOUNT, "200000", "1"),
        ({}, _no("float_short", 10_000_000)),
    ),
    AgentWalk(
        "A large sale with a new SIM.",
        ("1", _PIN, _ACCOUNT, "250000"),
        ({}, _no("sim_hold", 20_000_000, 79_000)),
    ),
    AgentWalk(
        "A wrong PIN, and the right one.",
        ("1", "739264", _PIN),
        ({"refused": "pin_wrong", "tries": 3, "wait": 15, "then": "agent.pin"}, {}),
    ),
    AgentWalk(
        "Too many wrong PINs, in whatever session.",
        ("1", "739264"),
        ({"refused": "pin_locked", "wait": 3_600, "then": "agent.pin"},),
    ),
    AgentWalk(
        "A PIN of the office opens nothing but its change.",
        ("1", _PIN, "1234", _NEW, _NEW),
        (
            {"must": True, "agent": 1, "then": "agent.new_pin"},
            {**_no("pin_weak"), "then": "agent.new_pin"},
            {},
            {"changed": True},
        ),
    ),
    AgentWalk(
        "A PIN that the office made anew while the agent was at it.",
        ("6", "2", _PIN, _NEW),
        ({}, {**_no("pin_must_change"), "then": "agent.pin_changed"}),
    ),
    AgentWalk(
        "The float and the day.",
        ("2", _PIN),
        ({"balance": 9_200_000, "free": 14_200_000, "sales": 2, "sold": 800_000, "gain": 16_000, "owed": 412_000},),
    ),
    AgentWalk(
        "The last sales, and the proof once more.",
        ("3", _PIN, "1", "1"),
        ({"sales": [_SALE, _EARLIER]}, {"phone": "081***0001", "left": 2}),
    ),
    AgentWalk("Float bought by wallet.", ("4", _PIN, "50000", "1"), ({},)),
    AgentWalk("Float cannot be bought.", ("4", _PIN, "50000", "1"), ({},), refusal=BeginRefused("float_closed")),
    AgentWalk(
        "Cash for the cashier, who confirms it with the code.",
        ("5", _PIN, "80000", "1"),
        ({"open": None}, {"code": "502 118 93"}),
    ),
    AgentWalk(
        "Cash that waits is taken back.",
        ("5", _PIN, "1"),
        ({"open": {"code": "502 118 93", "minor": 8_000_000}}, {}),
    ),
    AgentWalk("Another PIN, typed twice.", ("6", "2", _PIN, _NEW, _NEW), ({}, {}, {"changed": True})),
)
