"""`mwolo demo`: the whole system and a small town around it, on one machine, each part a process of its own.

The same code as production behind the same ports; only addresses differ. What the environment gives (a PostgreSQL, a
Redis, a broker) is used; the rest is embedded.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from core.settings import BadSetting
from mwolo.demo_environment import SECRETS, callbacks, environment
from mwolo.processes import Child, Supervisor, wait_for

if TYPE_CHECKING:
    from mwolo.seed import SeedReport
    from mwolo.wiring import Wiring

HOST = "127.0.0.1"
SANDBOX_TOWN = 200


@dataclass
class Plan:
    """Addresses and secrets of one demo. Kept in DATA/secrets.json, so that a second start is the same town."""

    port: int
    data: Path
    vodacom_mode: str
    scenario: str | None = None
    sandbox_port: int = 0
    smtp_port: int = 0
    # Other commands for some of the processes: tests put a worker here that dies at a chosen point.
    commands: Mapping[str, Sequence[str]] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)

    @property
    def web(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def sandbox(self) -> str:
        return f"http://{HOST}:{self.sandbox_port}"


def run(*, port: int, data: Path, scenario: str | None, headless: bool, vodacom_mode: str) -> int:
    """Start everything, wait (or play the scenario), stop everything. Returns the exit code."""
    from mwolo.scenarios import SCENARIOS

    if scenario is not None and scenario not in SCENARIOS:
        raise BadSetting(f"--scenario {scenario} is not known: choose from {', '.join(SCENARIOS)}.")
    plan = Plan(port, data.resolve(), vodacom_mode, scenario)
    if scenario is not None:
        plan.data = plan.data / f"scenario-{scenario}"
    _check_port(port)
    prepare_folder(plan)
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    runtime = Path(tempfile.mkdtemp(prefix="mwolo-"))
    supervisor = Supervisor(plan.data / "logs", _step)
    try:
        ready = start(plan, supervisor, runtime)
        if scenario is not None:
            story = SCENARIOS[scenario]
            return _beside(supervisor, stop, lambda: story(ready, _wiring(plan, ready["environment"])))
        _welcome(ready, headless=headless)
        supervisor.look_after(stop)
        click.echo("Stopping.")
        return 0
    except RuntimeError as error:
        click.echo(str(error), err=True)
        return 1
    finally:
        supervisor.stop()
        shutil.rmtree(runtime, ignore_errors=True)


def _step(text: str) -> None:
    click.echo(f"  {text}")


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        # Linux lets a new listener on a port whose old connections are still closing; granian does the same.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise BadSetting(f"Port {port} is taken: choose another one with --port.") from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def prepare_folder(plan: Plan) -> None:
    try:
        if plan.scenario is not None and (plan.data / "secrets.json").exists():
            # A story begins on a fixed day: it needs a fresh town, and this folder is the scenario's own.
            shutil.rmtree(plan.data)
        (plan.data / "logs").mkdir(parents=True, exist_ok=True)
        for log in (plan.data / "logs").glob("*.log"):
            log.unlink()
        (plan.data / "ready.json").unlink(missing_ok=True)
        kept = plan.data / "secrets.json"
        plan.kept = json.loads(kept.read_text()) if kept.exists() else {}
        for name in SECRETS:
            # Hexadecimal where operators read it: Daraja refuses an address in which "exe" or "sql" stands by chance.
            made = secrets.token_hex(16) if name == "hook" else secrets.token_urlsafe(12 if "password" in name else 32)
            plan.kept.setdefault(name, made)
        kept.write_text(json.dumps(plan.kept, indent=1))
        kept.chmod(0o600)
    except OSError as error:
        raise BadSetting(
            f"The folder {plan.data} cannot be written ({error.strerror}): choose one with --data."
        ) from None
    plan.sandbox_port, plan.smtp_port = _free_port(), _free_port()


def start(plan: Plan, supervisor: Supervisor, runtime: Path) -> dict[str, Any]:
    """Start every part in order and wait until all answer. Raises RuntimeError with the log of the one that does not.

    Returns what `ready.json` says, and the environment of the processes.
    """
    from mwolo.scenarios import ENVIRONMENTS

    env = {**environment(plan), **ENVIRONMENTS.get(plan.scenario or "", {})}
    _start_stores(plan, supervisor, runtime, env)
    wiring = _wiring(plan, env)
    report, keys = _prepare_database(plan, wiring)
    _start_sandbox(plan, supervisor, env)
    env["MWOLO_VODACOM_PUBLIC_KEY"] = _get_text(f"{plan.sandbox}/sandbox/api/wallets/vodacom/public-key")
    _post_json(f"{plan.sandbox}/sandbox/api/seed", _town(report, keys))
    _step(f"sandbox: phones, aggregator, wallets, {len(report.meters)} meters")
    commands: dict[str, Sequence[str]] = {
        "web": ("web", "--port", str(plan.port), "--threads", "16"),
        **{f"worker-{queue}": ("worker", queue) for queue in ("push", "settle", "notices", "bulk")},
        "dispatcher": ("dispatcher",),
        "bridge": ("bridge",),
    }
    for name, command in commands.items():
        supervisor.start(name, plan.commands.get(name) or [sys.executable, "-m", "mwolo.cli", *command], env)
    web = supervisor.child("web")
    wait_for(lambda: _is_up(f"{plan.web}/readyz"), web, "The web process")
    _step("web, four workers, dispatcher, bridge")
    wait_for(lambda: _all_work(wiring), None, "The workers and the bridge")
    ready = _ready(plan, report)
    (plan.data / "ready.json").write_text(json.dumps(ready, indent=1, ensure_ascii=False))
    return {**ready, "environment": env}


def _start_stores(plan: Plan, supervisor: Supervisor, runtime: Path, env: dict[str, str]) -> None:
    """Redis and the broker: those of the environment, else embedded ones. Their addresses go into `env`."""
    from mwolo import broker, embedded

    redis: Child | None = None
    if "MWOLO_REDIS_URL" in os.environ:
        env["MWOLO_REDIS_URL"] = os.environ["MWOLO_REDIS_URL"]
        _step("Redis: the one of MWOLO_REDIS_URL")
    else:
        path = runtime / "redis.sock"
        redis = supervisor.start("redis", embedded.redis_command(plan.data / "redis", path), {})
        env["MWOLO_REDIS_URL"] = f"unix://{path}"
        _step(f"Redis: {Path(embedded.redis_server_binary()).name}, embedded")
    mqtt: Child | None = None
    if "MWOLO_MQTT_URL" in os.environ:
        env["MWOLO_MQTT_URL"] = os.environ["MWOLO_MQTT_URL"]
        _step("MQTT: the broker of MWOLO_MQTT_URL")
    else:
        port = _free_port()
        chosen = broker.plan(port, plan.data / "broker")
        mqtt = supervisor.start("broker", chosen.command, {})
        env["MWOLO_MQTT_URL"] = chosen.url
        wait_for(lambda: broker.answers(port), mqtt, "The MQTT broker")
        _step(f"MQTT: {chosen.engine}, embedded")
    wait_for(lambda: _redis_answers(env["MWOLO_REDIS_URL"]), redis, "Redis")


def _redis_answers(url: str) -> bool:
    from redis import Redis
    from redis.exceptions import RedisError

    client = Redis.from_url(url, socket_connect_timeout=1)
    try:
        return bool(client.ping())
    except RedisError:
        return False
    finally:
        client.close()


def _wiring(plan: Plan, env: Mapping[str, str]) -> Wiring:
    """This process's own hands on the product: migrations, seed, the scenario's office."""
    from core import settings
    from mwolo import logs
    from mwolo.wiring import Wiring

    del plan
    for name, value in env.items():
        os.environ[name] = value
    logs.set_up("warning", "text", ())
    return Wiring(settings.read())


def _prepare_database(plan: Plan, wiring: Wiring) -> tuple[SeedReport, dict[str, str]]:
    from core.api_access.rules import SCOPES
    from core.clock_offset import write_offset
    from core.db.upgrade import upgrade
    from mwolo.scenarios import TOWNS, starting_offset
    from mwolo.seed import seed
    from mwolo.seed_abroad import seed_abroad
    from mwolo.seed_prepaid import seed_prepaid
    from mwolo.seed_work import seed_work

    upgrade(wiring.db)
    wiring.places.load()
    _step(f"database: {wiring.db.url.get_backend_name()}, newest shape")
    if plan.scenario is not None:
        write_offset(wiring.db, starting_offset(plan.scenario))
    report = seed(wiring.db, wiring.clock, size=TOWNS[plan.scenario] if plan.scenario else SANDBOX_TOWN)
    report = replace(report, customers=(*report.customers, seed_abroad(wiring.db, wiring.clock)))
    keypads = seed_prepaid(wiring.db, wiring.clock, wiring.sealer, wiring.settings.key)
    report = replace(report, keypads=keypads)
    if plan.scenario is None:
        # A story's town has nothing in it but the story.
        seed_work(wiring.db, wiring.clock, wiring.sealer)
    if not wiring.staff.has_users():
        wiring.staff.create_user("admin", plan.kept["admin_password"], name="Demo", role="admin")
        # Money that goes back, or is placed by hand, needs a second person.
        wiring.staff.create_user("finance", plan.kept["finance_password"], name="Demo Finance", role="finance")
    if not wiring.api_tokens.all_tokens():
        wiring.api_tokens.create("demo", SCOPES, days=730, secret=_api_token(plan))
    keys = _meter_keys(plan, wiring, [str(m["id"]) for m in _rows(report.meters)])
    _step(f"town: {len(report.customers)} customers, {len(report.agents)} agents, {len(report.meters)} meters")
    return report, keys


def _api_token(plan: Plan) -> str:
    from core.api_access.rules import PREFIX

    return PREFIX + plan.kept["api_token"]


def _meter_keys(plan: Plan, wiring: Wiring, meter_ids: list[str]) -> dict[str, str]:
    """A key per meter, handed to the sandbox's meters as a technician would hand it to real ones."""
    file = plan.data / "meter-keys.json"
    keys: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    for meter_id in meter_ids:
        if meter_id not in keys:
            keys[meter_id] = wiring.supply.provision(meter_id)
    file.write_text(json.dumps(keys))
    file.chmod(0o600)
    return keys


def _start_sandbox(plan: Plan, supervisor: Supervisor, env: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "mwolo.cli", "sandbox", "--port", str(plan.sandbox_port)]
    box = supervisor.start("sandbox", command, env)
    wait_for(lambda: _is_up(f"{plan.sandbox}/sandbox/healthz"), box, "The sandbox")


def _rows(items: Any) -> list[dict[str, Any]]:
    from dataclasses import asdict, is_dataclass

    return [asdict(item) if is_dataclass(item) and not isinstance(item, type) else dict(item) for item in items]


def _town(report: SeedReport, keys: Mapping[str, str]) -> dict[str, Any]:
    """The town as the sandbox's seed wants it."""
    people = [{**row, "kind": "customer"} for row in _rows(report.customers)]
    agents = [{**row, "kind": "agent"} for row in _rows(report.agents)]
    meters = [{**row, "key": keys[str(row["id"])]} for row in _rows(report.meters)]
    return {"phones": people + agents, "meters": meters, "keypads": _rows(report.keypads)}


def _all_work(wiring: Wiring) -> bool:
    """Every queue has its worker, and one bridge holds its lease."""
    from rq import Queue, Worker

    from core.outbox import QUEUES, LeaseRow
    from core.services.supply import BRIDGE_LEASE
    from workers.rq_executor import queue_name

    manned = all(Worker.count(queue=Queue(queue_name(q), connection=wiring.redis)) > 0 for q in QUEUES)
    with wiring.db.read() as session:
        bridge = session.get(LeaseRow, BRIDGE_LEASE)
    return manned and bridge is not None and bridge.until > wiring.clock.real_now()


def _ready(plan: Plan, report: SeedReport) -> dict[str, Any]:
    """What outside programs rely on: the addresses, and who lives in the town."""
    kept = plan.kept
    fields = ("phone", "account", "language", "wallet", "wallet_pin", "meter")
    agent_fields = ("phone", "pin", "wallet_pin", "name", "currency")
    customers = [{**row, "wallet": row.get("brand")} for row in _rows(report.customers)]
    return {
        "web": plan.web,
        "ussd": f"{plan.web}/ussd/africastalking/{kept['ussd']}",
        "ussd_end": f"{plan.web}/ussd/africastalking/{kept['ussd']}/end",
        "sms_inbound": f"{plan.web}/sms/africastalking/{kept['sms']}/inbound",
        "sms_delivery": f"{plan.web}/sms/africastalking/{kept['sms']}/delivery",
        "admin": {"url": f"{plan.web}/admin/", "user": "admin", "password": kept["admin_password"]},
        "finance": {"url": f"{plan.web}/admin/", "user": "finance", "password": kept["finance_password"]},
        "api": {"url": f"{plan.web}/api/v1", "token": _api_token(plan)},
        "sandbox": plan.sandbox,
        "wallets": list(callbacks(plan)),
        "customers": [{name: row.get(name) for name in fields} for row in customers],
        "agents": [{name: row.get(name) for name in agent_fields} for row in _rows(report.agents)],
        "meters": [row["id"] for row in _rows(report.meters)],
    }


def _welcome(ready: Mapping[str, Any], *, headless: bool) -> None:
    if headless:
        click.echo("Ready.")
        return
    admin, finance = ready["admin"], ready["finance"]
    first = ready["agents"][0]
    agents = f"choose {first['name']} on the phone page: PIN {first['pin']} on the short code; all are in ready.json"
    click.echo(f"""
Mwolo is up.

  Phone      {ready["web"]}/sandbox/      press the green key: it dials the short code
  Agents     {agents}
  Console    {admin["url"]}        user {admin["user"]}, password {admin["password"]}
                                       a second person: {finance["user"]}, password {finance["password"]}
  API        {ready["web"]}/api/docs      its token is in ready.json
  Health     {ready["web"]}/readyz, {ready["web"]}/metrics

  Ctrl-C stops everything. What you do is kept for the next start.
""")


def _beside(supervisor: Supervisor, stop: threading.Event, story: Any) -> int:
    """Play a story in a thread while this one looks after the processes."""
    result: list[int] = []

    def play() -> None:
        try:
            result.append(story())
        finally:
            stop.set()

    player = threading.Thread(target=play, name="scenario", daemon=True)
    player.start()
    supervisor.look_after(stop)
    player.join(5)
    return result[0] if result else 1


def _is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:  # noqa: S310 (our own loopback address)
            return int(reply.status) == 200
    except (urllib.error.URLError, OSError):
        return False


def _get_text(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as reply:  # noqa: S310 (our own loopback address)
        return str(reply.read().decode().strip())


def _post_json(url: str, body: object) -> None:
    request = urllib.request.Request(  # noqa: S310 (our own loopback address)
        url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=120) as reply:  # noqa: S310
        reply.read()
