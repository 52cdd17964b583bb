"""The GSM 03.38 alphabet: counting septets, folding what is not in it, cutting texts into segments.

Source: 3GPP TS 23.038. Sizes: 160 septets alone, 153 a part when split; 70 and 67 UTF-16 units outside the alphabet.
"""

from __future__ import annotations

import unicodedata

_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = "\f^{}\\[~]|€"
_COST = {**dict.fromkeys(_BASIC, 1), **dict.fromkeys(_EXTENSION, 2)}

SINGLE, PART = 160, 153
UCS2_SINGLE, UCS2_PART = 70, 67

# Folded by hand where taking the accent off is not enough, or where a look-alike exists.
_FOLD = {
    "œ": "oe", "Œ": "OE", "«": '"', "»": '"', "“": '"', "”": '"', "„": '"', "’": "'", "‘": "'", "…": "...",
    "–": "-", "—": "-", "‑": "-", "•": "-", "°": "o", "№": "No", "ɛ": "e", "Ɛ": "E", "ɔ": "o", "Ɔ": "O", "ŋ": "n",
    "Ŋ": "N", "\t": " ", "`": "'", "´": "'", "×": "x", "→": ">",
}  # fmt: skip


def septets(text: str) -> int | None:
    """How many septets `text` takes, or None when a character of it is outside the alphabet."""
    total = 0
    for c in text:
        cost = _COST.get(c)
        if cost is None:
            return None
        total += cost
    return total


def is_gsm7(text: str) -> bool:
    return all(c in _COST for c in text)


def fold(text: str) -> str:
    """`text` with every character inside the alphabet: accents that exist stay (é è à ù), others are taken off,
    typographic marks become plain ones, every kind of blank a space, and what is left a question mark.

    For outgoing texts only: a name in the books keeps its spelling.
    """
    out: list[str] = []
    for c in unicodedata.normalize("NFC", text):
        if c in _COST:
            out.append(c)
        elif c in _FOLD:
            out.append(_FOLD[c])
        elif c.isspace() or unicodedata.category(c) == "Zs":
            out.append(" ")
        elif unicodedata.category(c) in ("Mn", "Cf", "Cc"):
            continue
        else:
            bare = "".join(d for d in unicodedata.normalize("NFD", c) if unicodedata.category(d) != "Mn")
            out.append(bare if bare and is_gsm7(bare) else "?")
    return "".join(out)


def ascii_only(text: str) -> str:
    """`fold`, and then without any accent: for networks whose handsets show é wrongly on USSD."""
    folded = fold(text)
    if folded.isascii():
        return folded
    bare = "".join(d for d in unicodedata.normalize("NFD", folded) if unicodedata.category(d) != "Mn")
    return "".join(c if c.isascii() else "?" for c in bare)


def _utf16_units(text: str) -> int:
    return len(text.encode("utf-16-be")) // 2


def segments(text: str) -> int:
    """How many SMS parts `text` is billed as. An escape pair or a surrogate pair is never split across parts."""
    total = septets(text)
    if total is not None:
        if total <= SINGLE:
            return 1
        return _parts([_COST[c] for c in text], PART)
    if _utf16_units(text) <= UCS2_SINGLE:
        return 1
    return _parts([_utf16_units(c) for c in text], UCS2_PART)


def _parts(costs: list[int], room: int) -> int:
    parts, used = 1, 0
    for cost in costs:
        if used + cost > room:
            parts, used = parts + 1, 0
        used += cost
    return parts


def cut(text: str, room: int) -> str:
    """The longest start of `text` that fits `room` septets. For names only: amounts and choices are never cut."""
    used = 0
    for i, c in enumerate(text):
        used += _COST.get(c, 1)
        if used > room:
            return text[:i]
    return text
