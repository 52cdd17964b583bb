"""A Redis-protocol server of our own, on a socket in a scratch folder."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from mwolo.embedded import redis_command
from tests.realparts import exercised, stop, wait_until


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    # A path of pytest's own would be too long for a socket's address.
    with tempfile.TemporaryDirectory(prefix="mwolo-rq-") as folder:
        socket = Path(folder) / "redis.sock"
        command = redis_command(Path(folder) / "data", socket)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
        client = Redis(unix_socket_path=str(socket))

        def up() -> bool:
            try:
                return bool(client.ping())
            except (RedisError, OSError):
                return False

        try:
            wait_until(up, what="Redis to answer")
            exercised("Redis", os.path.basename(command[0]))
            yield client
        finally:
            client.close()
            stop(process)


@pytest.fixture
def redis(redis_server: Redis) -> Redis:
    """The server, emptied."""
    redis_server.flushall()
    return redis_server
