"""The whole demo as a fixture: real processes, short schedules, and hands to hurt it."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from sqlalchemy import select

from core.customers.tables import ContractRow
from mwolo import demo
from mwolo.broker import mosquitto_binary
from mwolo.processes import Supervisor
from mwolo.scenarios.story import Box
from mwolo.wiring import Wiring
from tests.realparts import exercised, free_port, redis_binary, wait_until

# Query slots of minutes become seconds; leases of five minutes fifteen seconds; prompts answer or expire soon.
FAST = {
    "MWOLO_QUERY_SCALE": "0.05",
    "MWOLO_LEASE_SCALE": "0.05",
    "MWOLO_PUSH_DELAY_S": "0.2",
    "MWOLO_SANDBOX_PROMPT_LIFETIME_S": "6",
    "MWOLO_LOG_LEVEL": "warning",
}


@dataclass
class Town:
    ready: Mapping[str, Any]
    box: Box
    wiring: Wiring
    supervisor: Supervisor
    crashes: Path
    redis: Redis

    def customers(self, count: int, *, brand: str | None = None) -> list[Mapping[str, Any]]:
        """The first `count` customers of a brand who pay in francs."""
        with self.wiring.db.read() as session:
            in_francs = set(session.scalars(select(ContractRow.account_number).where(ContractRow.currency == "CDF")))
        people = [c for c in self.ready["customers"] if c["account"] in in_francs]
        fit = [c for c in people if brand is None or c["wallet"] == brand]
        assert len(fit) >= count, f"the seed has only {len(fit)} customers of {brand}"
        return fit[:count]

    def kill(self, name: str) -> None:
        """SIGKILL one process and whatever it forked; the supervisor starts it again."""
        self.supervisor.child(name).signal_group(signal.SIGKILL)

    def arm(self, point: str, phone: str) -> None:
        (self.crashes / f"{point}~{phone}").touch()

    def wait(self, condition: Callable[[], object], what: str, timeout_s: float = 180) -> None:
        wait_until(condition, what=what, timeout_s=timeout_s)


@contextmanager
def town(*, environment: Mapping[str, str] | None = None, mortal: bool = False) -> Iterator[Town]:
    """Start everything; stop everything. `environment`: other stores, other schedules."""
    folder = Path(tempfile.mkdtemp(prefix="mwolo-town-"))
    runtime = Path(tempfile.mkdtemp(prefix="mwolo-"))
    crashes = folder / "crashes"
    crashes.mkdir()
    before = dict(os.environ)
    os.environ.update({**FAST, **(environment or {}), "MWOLO_TEST_CRASHES": str(crashes)})
    plan = demo.Plan(free_port(), folder, "sync")
    if mortal:
        plan.commands = {"worker-push": (sys.executable, "-m", "tests.processes.crashing_worker")}
    demo.prepare_folder(plan)
    supervisor = Supervisor(folder / "logs", lambda _text: None, pause_max_s=0.0)
    stop = threading.Event()
    keeper = threading.Thread(target=supervisor.look_after, args=(stop,), name="keeper")
    try:
        ready = demo.start(plan, supervisor, runtime)
        keeper.start()
        if redis_binary() and "MWOLO_REDIS_URL" not in (environment or {}):
            exercised("Redis", str(redis_binary()))
        if mosquitto_binary() and "MWOLO_MQTT_URL" not in (environment or {}):
            exercised("Mosquitto", str(mosquitto_binary()))
        wiring = Wiring.from_environment()
        redis = Redis.from_url(wiring.settings.redis_url)
        yield Town(ready, Box(ready["sandbox"]), wiring, supervisor, crashes, redis)
    finally:
        stop.set()
        if keeper.ident is not None:
            keeper.join()
        supervisor.stop()
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(runtime, ignore_errors=True)
        if os.environ.get("MWOLO_TEST_KEEP"):
            print(f"kept {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
