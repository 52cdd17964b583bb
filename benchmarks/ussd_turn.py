"""CPU per USSD callback of the real application, beside two floors, in one run.

    python -m benchmarks.ussd_turn [--mix journeys] [--seconds 3] [--rounds 5] [--connections 4] [--processes 2]

Every variant runs under the same web server with the same options. Rounds are interleaved, so that a noisy neighbour
hurts all alike. CPU is what the server's process tree used; the client and Redis are not in it. Ratios are taken inside
each round and their median is shown: compare ratios, not microseconds of two machines.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cpu import cpu_s

SECRET = "benchmark"
# Who has paid cannot pay again at once: in the mix of journeys fresh customers call in every round.
CUSTOMERS = {"confirm": 200, "journeys": 1500}
READY_WITHIN_S = 60.0


@dataclass(frozen=True)
class Variant:
    """One thing that is measured. `target`: as granian names applications."""

    name: str
    what: str
    target: str
    path: str


VARIANTS = (
    Variant("bare", "Flask, form read, fixed answer", "benchmarks.floors:bare", "/ussd"),
    Variant("stores", "+ one Redis script, one select", "benchmarks.floors:stores", "/ussd"),
    Variant("turn", "the application", "mwolo.wsgi:app", f"/ussd/africastalking/{SECRET}"),
)


@dataclass(frozen=True)
class Sample:
    """One variant in one round. CPU in microseconds per request."""

    cpu_us: float
    redis_us: float
    per_s: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Running:
    variant: Variant
    port: int
    pid: int


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _options(arguments)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mwolo-bench-")))
        redis_pid = stack.enter_context(_redis(folder))
        environment = _environment(folder)
        phones = _town(folder, environment, CUSTOMERS[asked.mix])
        running = [stack.enter_context(_server(v, folder, environment, asked)) for v in VARIANTS]
        for server in running:
            _load(server, phones, redis_pid, min(2.0, asked.seconds), asked, 0)
        samples: dict[str, list[Sample]] = {v.name: [] for v in VARIANTS}
        for number in range(asked.rounds):
            # Another one begins each round: whoever comes first finds the machine coldest.
            shift = number % len(running)
            for server in running[shift:] + running[:shift]:
                taken = _load(server, phones, redis_pid, asked.seconds, asked, number + 1)
                samples[server.variant.name].append(taken)
    _print(samples, asked)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ussd_turn", description=__doc__.partition("\n")[0])
    parser.add_argument("--mix", choices=sorted(CUSTOMERS), default="confirm", help="of sessions (confirm)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of load per variant and round (3)")
    parser.add_argument("--rounds", type=int, default=5, help="(5)")
    parser.add_argument("--connections", type=int, default=4, help="kept open by the client (4)")
    parser.add_argument("--processes", type=int, default=2, help="of the web server (2, as `mwolo web`)")
    parser.add_argument("--threads", type=int, default=4, help="per process (4, as `mwolo web`)")
    return parser.parse_args(arguments)


@contextmanager
def _redis(folder: Path) -> Iterator[int]:
    from redis import Redis
    from redis.exceptions import RedisError

    from mwolo.embedded import redis_command

    path = folder / "redis.sock"
    with _process(redis_command(folder / "redis", path), dict(os.environ), folder / "redis.log") as process:
        client = Redis(unix_socket_path=str(path))

        def answers() -> bool:
            try:
                return bool(client.ping())
            except RedisError:
                return False

        _wait(answers, process, folder / "redis.log")
        client.close()
        yield process.pid


def _environment(folder: Path) -> dict[str, str]:
    """Production's settings, as far as a turn can tell."""
    ours = {
        "MWOLO_DATABASE_URL": f"sqlite:///{folder / 'mwolo.db'}",
        "MWOLO_REDIS_URL": f"unix://{folder / 'redis.sock'}",
        "MWOLO_SECRET_KEY": "a secret for a benchmark, never for anything else",
        "MWOLO_USSD_SECRETS": SECRET,
        "MWOLO_SMS_SECRETS": SECRET,
        "MWOLO_HOOK_SECRETS": SECRET,
        "MWOLO_DOCUMENTS_DIR": str(folder / "documents"),
        "MWOLO_PAWAPAY_API_TOKEN": "benchmark-token",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MWOLO_")}
    return inherited | ours


def _town(folder: Path, environment: dict[str, str], customers: int) -> Path:
    """Fill the database; returns a file with the phones that call, one a line."""
    from core.db import Database
    from core.db.upgrade import upgrade
    from core.kernel.clock import SystemClock
    from mwolo import logs
    from mwolo.seed import seed

    logs.set_up("warning", "text", ())
    db = Database(environment["MWOLO_DATABASE_URL"], busy_timeout_s=20)
    upgrade(db)
    report = seed(db, SystemClock(), size=customers)
    db.dispose()
    phones = folder / "phones"
    phones.write_text("\n".join(customer.phone for customer in report.customers))
    return phones


@contextmanager
def _server(
    variant: Variant, folder: Path, environment: dict[str, str], asked: argparse.Namespace
) -> Iterator[Running]:
    port = _free_port()
    log = folder / f"{variant.name}.log"
    command = [
        sys.executable, "-m", "benchmarks.serve",
        variant.target, str(port), str(asked.processes), str(asked.threads),
    ]  # fmt: skip
    with _process(command, environment, log) as process:
        _wait(lambda: _listens(port), process, log)
        yield Running(variant, port, process.pid)


@contextmanager
def _process(command: Sequence[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(15)


def _wait(condition: object, process: subprocess.Popen[bytes], log: Path) -> None:
    assert callable(condition)
    end = time.monotonic() + READY_WITHIN_S
    while not condition():
        if process.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"{process.args!r} did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _load(
    server: Running, phones: Path, redis_pid: int, seconds: float, asked: argparse.Namespace, turn: int
) -> Sample:
    """`turn`: how often this server was called before; others call now."""
    command = [
        sys.executable, "-m", "benchmarks.load",
        "--port", str(server.port), "--path", server.variant.path, "--phones", str(phones),
        "--seconds", str(seconds), "--connections", str(asked.connections), "--mix", asked.mix,
        "--skip", str(turn * CUSTOMERS[asked.mix] // (asked.rounds + 1)),
    ]  # fmt: skip
    before, redis_before = cpu_s(server.pid), cpu_s(redis_pid)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    used, redis_used = cpu_s(server.pid) - before, cpu_s(redis_pid) - redis_before
    heard = json.loads(done.stdout)
    if heard["wrong"]:
        # A refusal is quicker than a screen: a figure with some of them in it would be a lie.
        raise SystemExit(f"{server.variant.name}: {heard['wrong']} wrong answers, such as {heard['sample']}")
    requests = heard["requests"]
    return Sample(
        cpu_us=1e6 * used / requests,
        redis_us=1e6 * redis_used / requests,
        per_s=requests / seconds,
        p50_ms=heard["p50_ms"],
        p99_ms=heard["p99_ms"],
    )


def _print(samples: dict[str, list[Sample]], asked: argparse.Namespace) -> None:
    cores = os.cpu_count()
    print(
        f"CPU per USSD callback: {asked.rounds} interleaved rounds of {asked.seconds:g} s per variant, "
        f"{asked.connections} connections, {asked.processes} processes of {asked.threads} threads\n"
        f"{cores} cores, {platform.system()} {platform.machine()}, {platform.python_implementation()} "
        f"{platform.python_version()}, SQLite, {CUSTOMERS[asked.mix]} customers, mix: {asked.mix}\n"
    )
    header = ("", "CPU us", "min-max", "x bare", "x stores", "Redis us", "req/s", "p50 ms", "p99 ms")
    rows = [header]
    for variant in VARIANTS:
        of = samples[variant.name]
        cpu = [s.cpu_us for s in of]
        rows.append(
            (
                variant.what,
                f"{statistics.median(cpu):.0f}",
                f"{min(cpu):.0f}-{max(cpu):.0f}",
                _ratio(of, samples["bare"]),
                _ratio(of, samples["stores"]),
                f"{statistics.median(s.redis_us for s in of):.0f}",
                f"{statistics.median(s.per_s for s in of):.0f}",
                f"{statistics.median(s.p50_ms for s in of):.2f}",
                f"{statistics.median(s.p99_ms for s in of):.2f}",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    for row in rows:
        print(
            "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        )


def _ratio(of: Sequence[Sample], floor: Sequence[Sample]) -> str:
    """Median of the ratios inside each round: what the machine did meanwhile hit both."""
    return f"{statistics.median(a.cpu_us / b.cpu_us for a, b in zip(of, floor, strict=True)):.2f}"


if __name__ == "__main__":
    sys.exit(main())
