"""`AIDE`: the other words. The same for everybody: it says nothing about anybody's account."""

from __future__ import annotations

from channels.sms.command import Asked, Command, Doors
from core.services.inbox import Answer

_NAME = "help"


def _answer(asked: Asked, _doors: Doors) -> Answer:
    blanks = {
        "balance": asked.word("balance"),
        "word": asked.word("pay"),
        "receipt_word": asked.word("receipt"),
        "stop": asked.word("stop"),
    }
    return Answer("sms.help", blanks, _NAME)


HELP = Command(
    _NAME,
    {
        "fr": ("AIDE", "AIDEZ", "INFO", "INFOS", "MENU"),
        "en": ("HELP", "INFO", "MENU"),
        "sw": ("MSAADA", "USAIDIZI", "SAIDIA"),
        "ln": ("LISALISI", "SALISA"),
        "kg": ("LUSADISU", "SADISA"),
        "lua": ("DIAMBULUISHA", "AMBULUISHA"),
    },
    _answer,
)
