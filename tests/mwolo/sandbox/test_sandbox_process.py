"""The box as a process: a real port, a cut line, SIGTERM, and nothing forgotten across a restart."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mwolo.sandbox.config import SandboxConfig
from mwolo.sandbox.serve import run, threaded_server
from tests.mwolo.sandbox.box_rig import AIRTEL, PATIENCE_S, Box, PawapayCaller, Product, until
from tests.realparts import free_port

PROGRAM = "import sys\nfrom mwolo.sandbox.config import SandboxConfig\nfrom mwolo.sandbox.serve import run\n"
PROGRAM += "sys.exit(run(SandboxConfig.from_env(), int(sys.argv[1])))"


def alive(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/sandbox/healthz", timeout=60) as reply:
            return reply.status == 200
    except OSError:
        return False


def post(port: int, path: str, body: Any) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Authorization": "Bearer sandbox-pawapay-token"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
        return json.load(reply)


@pytest.fixture
def start(tmp_path: Path, product: Product) -> Iterator[Callable[[], tuple[subprocess.Popen[bytes], int]]]:
    """Starts the box as a process of its own, again on the same data each time."""
    started: list[subprocess.Popen[bytes]] = []
    config = SandboxConfig(tmp_path / "box", pawapay_callback_url=product.url("/hooks/pawapay"), callback_retry_s=0.05)

    def start_one() -> tuple[subprocess.Popen[bytes], int]:
        port = free_port()
        command = [sys.executable, "-c", PROGRAM, str(port)]
        process = subprocess.Popen(command, env={**os.environ, **config.to_env()})
        started.append(process)
        until(lambda: alive(port))
        return process, port

    yield start_one
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


def test_a_lost_answer_cuts_the_line(box: Box) -> None:
    server = threaded_server(box.app)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    box.fault("pawapay", "lost_answer")
    body = {
        "depositId": str(uuid.uuid4()),
        "amount": "500",
        "currency": "CDF",
        "payer": {"type": "MMO", "accountDetails": {"phoneNumber": AIRTEL[1:], "provider": "AIRTEL_COD"}},
    }
    with pytest.raises(OSError):
        post(server.port, "/pawapay/v2/deposits", body)
    server.shutdown()
    server.server_close()
    assert box.answers(AIRTEL) == "paid"
    assert PawapayCaller(box).status(body["depositId"])["data"]["status"] == "COMPLETED"


def test_a_taken_port_is_said_and_nothing_stays_open(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        run(SandboxConfig(tmp_path), taken.getsockname()[1])
    assert [one.name for one in threading.enumerate() if one.name == "errands"] == []


@pytest.mark.processes
def test_sigterm_ends_it_and_a_restart_forgets_nothing(
    start: Callable[[], tuple[subprocess.Popen[bytes], int]], product: Product
) -> None:
    product.answer = lambda _letter: (503, "")  # the product is away: the callback must wait
    process, port = start()
    post(port, "/sandbox/api/seed", {"phones": [{"phone": AIRTEL, "balance": 9000}]})
    deposit = {
        "depositId": str(uuid.uuid4()),
        "amount": "5000",
        "currency": "CDF",
        "payer": {"type": "MMO", "accountDetails": {"phoneNumber": AIRTEL[1:], "provider": "AIRTEL_COD"}},
    }
    assert post(port, "/pawapay/v2/deposits", deposit)["status"] == "ACCEPTED"
    assert post(port, f"/sandbox/api/prompts/{AIRTEL}", {"pin": "1234"}) == {"outcome": "paid"}
    until(lambda: product.at("/hooks/pawapay"))
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0

    product.answer = lambda _letter: (200, "")
    seen = len(product.letters)
    process, port = start()
    until(lambda: len(product.letters) > seen, "the callback after the restart")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/sandbox/api/phones", timeout=60) as reply:
        assert [row["balance"] for row in json.load(reply)] == ["4000"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
