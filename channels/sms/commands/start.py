"""`DEBUT`, `START`: reminders and bills again."""

from __future__ import annotations

from channels.sms.command import Asked, Command, Doors
from core.services.inbox import Answer

_NAME = "start"


def _answer(asked: Asked, _doors: Doors) -> Answer:
    return Answer("sms.start", {"stop": asked.word("stop")}, _NAME, choice="start")


START = Command(
    _NAME,
    {
        "fr": ("DEBUT", "DEBUTER", "REPRENDRE", "START"),
        "en": ("START", "RESUME", "SUBSCRIBE", "UNSTOP"),
        "sw": ("ANZA", "ENDELEA"),
        "ln": ("BANDA", "KOBANDA"),
        "kg": ("YANTIKA", "LANDA"),
        "lua": ("TUADIJA", "KUTUADIJA"),
    },
    _answer,
)
