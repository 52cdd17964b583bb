"""A callback from the inbox as a person may read it: laid out, without secrets, numbers masked. Pure.

The layout never interprets: amounts keep the digits they came with, and XML is not parsed, so that nothing hostile
in it is resolved.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from core.phone_numbers import masked

HIDDEN = "•••"
# Longer than any operator's callback that was ever seen; the rest would only make the page heavy.
_LONGEST = 16_000
_DEEPEST = 40

# Only these are shown with what they say: what an operator sends besides may be a key.
_PLAIN_HEADERS = frozenset(
    {
        "accept", "accept-encoding", "accept-language", "connection", "content-encoding", "content-length",
        "content-digest", "content-type", "date", "digest", "host", "signature-date", "signature-input", "soapaction",
        "user-agent", "x-forwarded-for", "x-forwarded-proto", "x-real-ip", "x-request-id", "x-correlation-id",
    }
)  # fmt: skip
_SECRET_NAME = re.compile(r"pass|pwd|secret|token|apikey|api_key|partnkey|credential|authori[sz]ation|^pin$", re.I)
# Nine digits as the country dials them, or Kenya's; not a part of a longer number or reference.
_PHONE = re.compile(r"(?<![\w.+-])\+?(?:(?:00)?243[89]\d{8}|0[89]\d{8}|[89]\d{8}|254[17]\d{8}|0[17]\d{8})(?![\w-])")
_HOOK = re.compile(r"^(?P<before>.*?/hooks/[^/]+/)(?P<secret>[^/]+)(?P<after>/.*)?$")


def masked_path(path: str) -> str:
    """The address that was called, without its secret segment; nothing at all when it is not an address of ours."""
    found = _HOOK.match(path)
    return f"{found['before']}{HIDDEN}{found['after'] or ''}" if found else HIDDEN


def _secret_of(path: str) -> str:
    found = _HOOK.match(path)
    return found["secret"] if found else ""


def readable_headers(headers: Mapping[str, Any], path: str) -> tuple[tuple[str, str], ...]:
    """All names, and what those say that hold no secret."""
    secret = _secret_of(path)
    return tuple(
        (name, _without(str(value), secret) if name.lower() in _PLAIN_HEADERS else HIDDEN)
        for name, value in sorted(headers.items())
    )


def readable_body(body: bytes, path: str, *, whole_numbers: bool) -> str:
    """The body laid out. `whole_numbers`: leave telephone numbers as they are."""
    text = body[:_LONGEST].decode("utf-8", errors="replace")
    if len(body) <= _LONGEST:
        text = _json(text) or (_xml(text) if text.lstrip().startswith("<") else _form(text))
    else:
        # What was cut cannot be laid out, and what cannot be laid out cannot be searched for secrets by name.
        text = f"{HIDDEN} {len(body)} bytes"
    text = _without(text, _secret_of(path))
    return text if whole_numbers else _PHONE.sub(lambda found: mask_phone(found[0]), text)


def mask_phone(number: str) -> str:
    """Whatever the spelling: first and last digits only."""
    digits = number.removeprefix("+")
    digits = digits.removeprefix("00") if digits.startswith("00243") else digits
    if digits.startswith("243"):
        return masked("+" + digits)
    return f"{digits[:3]}***{digits[-4:]}"


def _without(text: str, secret: str) -> str:
    text = "".join(c for c in text if c in "\t\n" or c.isprintable())
    return text.replace(secret, HIDDEN) if len(secret) >= 4 else text


class _Number(str):
    """A number with the digits it came with."""

    __slots__ = ()


def _json(text: str) -> str | None:
    try:
        value = json.loads(text, parse_float=_Number, parse_int=_Number, object_pairs_hook=_Pairs)
        return "\n".join(_lines(value, "", 0))
    except (ValueError, RecursionError):
        return None


class _Pairs(list[tuple[str, Any]]):
    """An object with all its keys, also those that come twice."""


def _lines(value: Any, lead: str, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise RecursionError
    pad = "  " * depth
    if isinstance(value, _Pairs | list) and value:
        opening, closing = ("{", "}") if isinstance(value, _Pairs) else ("[", "]")
        yield f"{pad}{lead}{opening}"
        for inner in value:
            if isinstance(value, _Pairs):
                name, held = inner
                yield from _lines(HIDDEN if _SECRET_NAME.search(name) else held, f"{_quoted(name)}: ", depth + 1)
            else:
                yield from _lines(inner, "", depth + 1)
        yield f"{pad}{closing}"
    elif isinstance(value, _Pairs | list):
        yield f"{pad}{lead}{'{}' if isinstance(value, _Pairs) else '[]'}"
    elif isinstance(value, _Number):
        yield f"{pad}{lead}{value}"
    else:
        yield f"{pad}{lead}{_quoted(value)}"


def _quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


_TAG = re.compile(r"(<[^<>]*>)")
_TAG_NAME = re.compile(r"<\s*/?\s*(?:[\w.-]+:)?([\w.-]+)")


def _xml(text: str) -> str:
    """One element a line, indented. Read as tags and text only: no entity is resolved, no outside thing fetched."""
    lines: list[str] = []
    depth = 0
    within = ""
    for piece in _TAG.split(text):
        piece = piece.strip()
        if not piece:
            continue
        name = _TAG_NAME.match(piece)
        if not piece.startswith("<") or name is None:
            shown = HIDDEN if not piece.startswith("<") and _SECRET_NAME.search(within) else piece
            _beside(lines, depth, shown, alone=piece.startswith("<"))
        elif piece.startswith("</"):
            depth = max(0, depth - 1)
            _beside(lines, depth, piece, alone=not _opened_last(lines, name[1]))
            within = ""
        else:
            lines.append("  " * min(depth, _DEEPEST) + _attributes(piece))
            within = name[1]
            depth += 0 if piece.endswith("/>") else 1
    return "\n".join(lines)


def _beside(lines: list[str], depth: int, piece: str, *, alone: bool) -> None:
    """Text stands behind its tag, and the closing tag behind its text."""
    if alone or not lines:
        lines.append("  " * min(depth, _DEEPEST) + piece)
    else:
        lines[-1] += piece


def _opened_last(lines: list[str], name: str) -> bool:
    """Whether the last line is the opening tag (and text) of this very element."""
    if not lines:
        return False
    opened = _TAG_NAME.match(lines[-1].strip())
    return bool(opened) and opened[1] == name and "</" not in lines[-1]  # type: ignore[index]


def _attributes(tag: str) -> str:
    def hide(found: re.Match[str]) -> str:
        return f"{found[1]}={found[2]}{HIDDEN}{found[2]}" if _SECRET_NAME.search(found[1]) else found[0]

    return re.sub(r"([\w:.-]+)\s*=\s*([\"'])[^\"']*\2", hide, tag)


def _form(text: str) -> str:
    """`a=1&b=2` one a line; anything else as it is."""
    pieces = text.split("&")
    if not all("=" in piece for piece in pieces) or "\n" in text.strip():
        return text
    shown = []
    for piece in pieces:
        name, _, value = piece.partition("=")
        shown.append(f"{name}={HIDDEN if _SECRET_NAME.search(name) else value}")
    return "\n".join(shown)
