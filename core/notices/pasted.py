"""PINs and one-time codes that people paste into a text. They are covered before the text is kept anywhere. Pure."""

from __future__ import annotations

import re

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


def covered(body: str) -> str:
    """`body` with what may be a PIN or a one-time code put as `****`.

    Four to six digits are covered when a word such as "pin" or "code" stands near, or when there is nothing else: then
    they are no order, and nobody writes four digits to a utility but by mistake. Rather too much than too little: an
    amount beside the word "code" is covered too, and whoever sent it is told to send it again.
    """
    if _NOTHING_ELSE.fullmatch(body):
        return COVER
    near = [(found.start() - _NEAR, found.end() + _NEAR) for found in _CALLED.finditer(body)]
    if not near:
        return body

    def cover(found: re.Match[str]) -> str:
        close = any(start <= found.start() and found.end() <= end for start, end in near)
        return COVER if close else found[0]

    return _SECRET.sub(cover, body)
