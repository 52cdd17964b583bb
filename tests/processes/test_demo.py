"""`mwolo demo` as a user meets it: clear refusals, a clean end, a quick second start, the story on real servers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.realparts import PostgresServer, free_port, mosquitto_server, redis_server, wait_until

pytestmark = pytest.mark.processes


def demo(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mwolo.cli", "demo", "--headless", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**{n: v for n, v in os.environ.items() if not n.startswith("MWOLO_")}, **(environment or {})},
        start_new_session=True,
    )


def processes_naming(word: str) -> list[str]:
    """Command lines and environments of running processes that mention this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if word.encode() in text:
            found.append(entry.name)
    return found


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = demo("--port", str(taken.getsockname()[1]), "--data", str(tmp_path / "town"))
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "is taken: choose another one with --port." in out
    assert "Traceback" not in out


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    process = demo("--port", str(free_port()), "--data", str(file / "town"))
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "cannot be written" in out
    assert "Traceback" not in out


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("MWOLO_SECRET_KEY", "short", "MWOLO_SECRET_KEY must be set to at least 32 random characters."),
        ("MWOLO_DATABASE_URL", "mysql://x", "MWOLO_DATABASE_URL must start with postgresql:// or sqlite:///."),
        ("MWOLO_PUSH_DELAY_S", "soon", "MWOLO_PUSH_DELAY_S "),
    ],
)
def test_a_wrong_setting_names_its_variable(name: str, value: str, words: str) -> None:
    environment = {"MWOLO_SECRET_KEY": "a secret key for tests, long enough", name: value}
    done = subprocess.run(
        [sys.executable, "-m", "mwolo.cli", "dispatcher"],
        capture_output=True,
        text=True,
        env={**{n: v for n, v in os.environ.items() if not n.startswith("MWOLO_")}, **environment},
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(words)
    assert len(done.stderr.splitlines()) == 1


def test_it_starts_again_where_it_stopped_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """First start seeds; Ctrl-C ends every process; the second start finds the same town."""
    data = tmp_path / "town"
    towns = []
    for _ in range(2):
        process = demo("--port", str(free_port()), "--data", str(data))
        try:
            wait_until(lambda: (data / "ready.json").exists(), what="the demo to be ready", timeout_s=300)
            ready = json.loads((data / "ready.json").read_text())
            with urllib.request.urlopen(f"{ready['web']}/sandbox/api/config", timeout=60) as reply:
                assert json.load(reply)["short_code"] == "*123#"
            asked = urllib.request.Request(
                f"{ready['api']['url']}/customers", headers={"Authorization": f"Bearer {ready['api']['token']}"}
            )
            with urllib.request.urlopen(asked, timeout=60) as reply:
                assert json.load(reply)["items"]
            towns.append(ready)
        finally:
            os.killpg(process.pid, signal.SIGINT)
            out, _ = process.communicate(timeout=120)
        assert process.returncode == 0, out
        wait_until(lambda: not processes_naming(str(data)), what="every process to be gone")
        (data / "ready.json").unlink(missing_ok=True)
    assert towns[0]["customers"] == towns[1]["customers"]
    assert towns[0]["admin"]["password"] == towns[1]["admin"]["password"]


@pytest.mark.postgres
@pytest.mark.redis_server
@pytest.mark.mosquitto
def test_the_unpaid_invoice_on_production_parts(tmp_path: Path, postgres: PostgresServer) -> None:
    """The whole story on PostgreSQL, a Redis server and Mosquitto."""
    with postgres.new_database() as database, redis_server() as redis, mosquitto_server() as port:
        if port is None:
            pytest.skip("no Mosquitto on this machine")
        environment = {
            "MWOLO_DATABASE_URL": database,
            "MWOLO_REDIS_URL": redis,
            "MWOLO_MQTT_URL": f"mqtt://127.0.0.1:{port}",
        }
        process = demo(
            "--scenario", "unpaid-invoice", "--port", str(free_port()), "--data", str(tmp_path), environment=environment
        )  # fmt: skip
        out, _ = process.communicate(timeout=900)
    assert process.returncode == 0, out
    assert "Every step happened." in out
