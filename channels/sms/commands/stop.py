"""`ARRET`, `STOP`: no more reminders. Obeyed whatever else stands in the text; a longer one is read by a person too."""

from __future__ import annotations

from typing import Literal

from channels.sms.command import Asked, Command, Doors
from core.services.inbox import Answer

_NAME = "stop"
# More words than these beside it say something.
_A_FEW = 2


def _answer(asked: Asked, _doors: Doors) -> Answer:
    blanks = {"start": asked.word("start")}
    # One that says so plainly has opted out when it came in. Once more here could undo a START sent since.
    choice: Literal["stop"] | None = None if asked.message.stop else "stop"
    return Answer("sms.stop", blanks, _NAME, filed=len(asked.heard.rest) > _A_FEW, choice=choice)


STOP = Command(
    _NAME,
    {
        "fr": ("ARRET", "STOP", "ARRETER", "ARRETEZ", "STOPPER", "DESABONNER"),
        "en": ("STOP", "UNSUBSCRIBE"),
        "sw": ("ACHA", "SIMAMA", "SIMAMISHA"),
        "ln": ("TIKA", "TELEMA"),
        "kg": ("BIKA", "TELAMA"),
        "lua": ("LEKELA", "IMANA"),
    },
    _answer,
)
