"""PINs and one-time codes that people paste into a text. They are covered before the text is kept anywhere. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from core.kernel.digits import ACCOUNT_LENGTH, is_account_number

COVER = "****"

# What a secret is called in the languages of the country, standing free of other letters: `pin1234` is one too.
_CALLED = re.compile(
    r"(?<![^\W\d_])(?:m?pins?|nip|otp|codes?|kod[ei]|passe|mdp|pass(?:word|wort)?|s[eé]crets?|siri|nsiri|confirmation"
    r"|validation|v[eé]rification)(?![^\W\d_])",
    re.IGNORECASE,
)
# Four to six digits in one piece, or one by one with a mark between them.
_SECRET = re.compile(r"(?<!\d)\d{4,6}(?!\d)|(?<!\d)\d(?:[ .,-]\d){3,5}(?![ .,-]?\d)")
# So many characters before and after its name: "mon code secret d'Airtel Money est le 1234".
_NEAR = 40
_NOTHING_ELSE = re.compile(r"\W*(?:\d{4,6}|\d(?:[ .,-]\d){3,5})\W*")


# What an order to pay begins with, in any of the languages; more words than orders do.
_PAYS = re.compile(r"(?<![^\W\d_])(?:pay|pai|r[eé]gl|ku?lip|ko?fut|ku?fut|lip|fut|montant|amount)", re.IGNORECASE)
# A currency right after digits is theirs, and not that of the next.
_BEFORE = re.compile(r"(?<!\d)(?<!\d )(?:[$]|(?<![^\W\d_])(?:fc|cdf|usd|us|kes|ksh))[ .:]*$", re.IGNORECASE)
_AFTER = re.compile(
    r"[ ]*(?:[$]|(?:fc|f|fr|frs|francs?|cdf|usd|us|dollars?|dola|kes|kshs?|shillings?|shilingi)(?![^\W\d_]))",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"(?<!\d)(?:\d{1,2}([/.-])\d{1,2}\1(?:\d\d){1,2}|(?:19|20)\d\d[/-][01]?\d|[01]?\d[/-](?:19|20)\d\d)(?!\d)"
)
_THOUSANDS = re.compile(
    r"(?<!\d)\d{1,3}(?:[ .,\u00a0\u202f]\d{3})+(?:[.,]\d{1,2})?(?!\d)|(?<!\d)\d{4,9}[.,]\d{1,2}(?!\d)"
)
_DIGITS = re.compile(r"\d+")
# Between the groups of an account or a telephone number.
_BETWEEN = re.compile(r"[ .\u00a0\u202f-]{1,2}")

_Kind = Literal["amount", "bare", "small", "number"]
_SHAPES: tuple[tuple[_Kind, re.Pattern[str]], ...] = (("number", _DATE), ("amount", _THOUSANDS), ("bare", _SECRET))


@dataclass(frozen=True, slots=True)
class _Found:
    """Digits of a text. `amount`: long, in thousands, with cents or beside a currency; `bare`: four to six digits
    that stand free; `small`: fewer; `number`: an account, a telephone, a date, or longer."""

    start: int
    end: int
    kind: _Kind
    round: bool = False


def covered(body: str) -> str:
    """`body` with what may be a PIN or a one-time code put as `****`.

    Four to six digits are covered when a word such as "pin" or "code" stands near, when there is nothing else, and when
    they stand free in a text that has its amount elsewhere: `PAYER 5000 1234`. Rather too much than too little: an
    amount beside the word "code" is covered too, and whoever sent it is told to send it again.
    """
    if _NOTHING_ELSE.fullmatch(body):
        return COVER
    near = [(found.start() - _NEAR, found.end() + _NEAR) for found in _CALLED.finditer(body)]

    def cover(found: re.Match[str]) -> str:
        close = any(start <= found.start() and found.end() <= end for start, end in near)
        return COVER if close else found[0]

    if near:
        body = _SECRET.sub(cover, body)
    for found in reversed(_beside_an_amount(body)):
        body = body[: found.start] + COVER + body[found.end :]
    return body


def _beside_an_amount(body: str) -> list[_Found]:
    """The free groups that cannot be the amount, because something else is; all of them where nobody can tell."""
    numbers = _numbers(body)
    bare = [number for number in numbers if number.kind == "bare"]
    if any(number.kind == "amount" for number in numbers):
        return bare
    rounds = [number for number in bare if number.round]
    about_money = bool(rounds) or _PAYS.search(body) is not None or not any(c.isalpha() for c in body)
    if not about_money or not bare:
        return []
    if len(bare) == 1:
        return bare if not rounds and _small_beside(body, numbers, bare[0]) else []
    # Sums end in noughts, PINs hardly ever.
    return [number for number in bare if not rounds or number is not rounds[0]]


def _small_beside(body: str, numbers: list[_Found], bare: _Found) -> bool:
    """Whether `50 1234` stands there: an amount of few digits, and nothing between."""
    smalls = [number for number in numbers if number.kind == "small"]
    gaps = [body[a.end : b.start] for one in smalls for a, b in ((one, bare), (bare, one)) if a.end <= b.start]
    return any(not any(c.isalnum() for c in gap) for gap in gaps)


def _numbers(body: str) -> list[_Found]:
    """Every number of the text, in order, each digit in one of them at most."""
    found: list[_Found] = []

    def add(start: int, end: int, kind: _Kind) -> None:
        if all(end <= other.start or other.end <= start for other in found):
            money = _BEFORE.search(body, 0, start) or _AFTER.match(body, end)
            is_money = kind in ("bare", "small") and money is not None
            found.append(_Found(start, end, "amount" if is_money else kind, body[start:end].endswith("00")))

    for start, end in _grouped_numbers(body):
        add(start, end, "number")
    for kind, shape in _SHAPES:
        for match in shape.finditer(body):
            add(match.start(), match.end(), kind)
    for match in _DIGITS.finditer(body):
        length = len(match[0])
        # Nine digits are a telephone without its nought more often than an amount.
        add(match.start(), match.end(), "small" if length < 4 else "amount" if length < 9 else "number")
    return sorted(found, key=lambda number: number.start)


def _grouped_numbers(body: str) -> list[tuple[int, int]]:
    """Where accounts and telephone numbers stand that are written in groups. An account's check digit tells it from an
    amount and a PIN, a telephone begins with nought or the country."""
    parts = list(_DIGITS.finditer(body))
    spans = []
    for first, part in enumerate(parts):
        digits, end = part[0], part.end()
        before = parts[first - 1] if first else None
        # The noughts of 1 000 123 begin no telephone.
        in_thousands = before is not None and len(before[0]) < 4 and before.end() + 1 == part.start()
        for after in parts[first + 1 :]:
            if not _BETWEEN.fullmatch(body, end, after.start()) or len(digits) > ACCOUNT_LENGTH:
                break
            digits, end = digits + after[0], after.end()
            plain = "".join(str(int(c)) for c in digits)
            phone = plain[0] == "0" and not in_thousands
            local = len(plain) == ACCOUNT_LENGTH and (phone or is_account_number(plain))
            if local or (len(plain) == 12 and plain.startswith(("243", "254"))):
                spans.append((part.start(), end))
    return spans
