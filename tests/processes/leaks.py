"""Looks for digits in everything that was kept: Redis, files of the database and of the logs, pages for machines."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import redis

# Around what was found, so that a failure says where it stood.
_SEEN = 60


def around(digits: str, text: bytes) -> list[str]:
    """Every place where these digits stand by themselves. Within longer numbers, in hexadecimal ids and behind the
    point of a second they mean nothing."""
    alone = re.compile(rb"(?<![0-9A-Fa-f.])" + digits.encode() + rb"(?![0-9A-Fa-f])")
    found = (match.start() for match in alone.finditer(text))
    return [repr(text[max(0, start - _SEEN) : start + _SEEN]) for start in found]


def everything_on(client: redis.Redis) -> bytes:
    """All keys with all their values."""
    kept: list[bytes] = []
    for key in client.scan_iter():
        kept.append(key)
        match client.type(key):
            case b"hash":
                kept += [part for pair in client.hgetall(key).items() for part in pair]
            case b"list":
                kept += client.lrange(key, 0, -1)
            case b"string":
                kept.append(client.get(key))
            case b"none":
                pass
            case other:
                raise AssertionError(f"nobody looks into {other!r}")
    return b"\n".join(kept)


def files(folder: Path) -> Mapping[str, bytes]:
    """Every file below, raw: pages that a database has given up still hold what stood there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def page(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as reply:
        body: Any = reply.read()
    return bytes(body)
