"""`CODE 1234567890`: whether a receipt is real. Anybody may ask, and learns no more than on the public page."""

from __future__ import annotations

from channels.sms.command import Asked, Command, Doors
from core.i18n import day
from core.kernel.digits import grouped
from core.services.documents import Verified
from core.services.inbox import Answer

_NAME = "verify"


def _answer(asked: Asked, doors: Doors) -> Answer:
    # A code has the length and the check digit of an account number, and is read as one.
    code = asked.heard.account or asked.heard.misread
    if code is None:
        return Answer("sms.verify.how", {}, _NAME)
    found = doors.receipts.verify(code)
    blanks = {"verification": grouped(code)}
    # A bill has a code of this kind too; it is no proof that anything was paid.
    if not isinstance(found, Verified):
        return Answer("sms.verify.none", blanks, _NAME)
    blanks |= {"amount": found.amount.text, "receipt": found.receipt_number}
    if found.reversed_on is not None:
        return Answer("sms.verify.reversed", blanks, _NAME)
    last = found.account_masked.replace("*", "").strip() or "-"
    return Answer("sms.verify.real", {**blanks, "day": day(found.paid_on), "last": last}, _NAME)


VERIFY = Command(
    _NAME,
    {
        "fr": ("CODE", "VERIFIER", "VERIFICATION"),
        "en": ("CODE", "VERIFY", "CHECK"),
        "sw": ("CODE", "KODI", "HAKIKI"),
        "ln": ("CODE", "KODE"),
        "kg": ("CODE", "KODE"),
        "lua": ("CODE", "KODE"),
    },
    _answer,
)
