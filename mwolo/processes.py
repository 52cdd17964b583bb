"""Child processes of one machine: started in order, restarted when they die, stopped without a trace.

Each child leads a process group of its own and gets SIGTERM from the kernel when this process dies, however it dies;
a server that forks (granian) is ended by its group.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

# A child that lived shorter than this failed to start; it is tried again more and more slowly.
SHORT_LIFE_S = 5.0
PAUSE_MAX_S = 10.0
STOP_S = 12.0
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Runs in the child between fork and exec: the kernel then ends it when its parent is gone (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Child:
    """One process to keep alive. `log`: file for its output."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    started_at: float = field(default=0.0, init=False)
    restarts: int = field(default=0, init=False)
    not_before: float = field(default=0.0, init=False)
    _out: IO[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        if self._out is None:
            self._out = self.log.open("ab")
        self.process = subprocess.Popen(  # noqa: S603 (our own commands)
            list(self.command),
            # Many processes start from the same files: each must find them compiled.
            env={n: v for n, v in {**os.environ, **self.env}.items() if n != "PYTHONDONTWRITEBYTECODE"},
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        self.started_at = time.monotonic()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal_group(self, number: int) -> None:
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def last_lines(self, count: int = 8) -> str:
        """The end of its log, for a person who must know why it did not start."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])
        except OSError:
            return ""


class Supervisor:
    """Starts children, restarts those that die, stops them all in reverse order."""

    def __init__(self, logs: Path, note: Callable[[str], None], *, pause_max_s: float = PAUSE_MAX_S) -> None:
        self._logs = logs
        self._note = note
        self._pause_max_s = pause_max_s
        self.children: list[Child] = []

    def child(self, name: str) -> Child:
        return next(c for c in self.children if c.name == name)

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> Child:
        child = Child(name, command, env, self._logs / f"{name}.log")
        child.start()
        self.children.append(child)
        return child

    def look_after(self, stop: threading.Event) -> None:
        """Restart what died, until told to stop. Call it from the main thread."""
        while not stop.wait(0.2):
            for child in self.children:
                self._revive(child)

    def _revive(self, child: Child) -> None:
        if child.running:
            return
        now = time.monotonic()
        if child.not_before == 0.0:
            lived = now - child.started_at
            pause = min(self._pause_max_s, 0.5 * 2**child.restarts) if lived < SHORT_LIFE_S else 0.0
            child.not_before = now + pause
            code = child.process.returncode if child.process else None
            self._note(f"{child.name} ended with {code}; starting it again")
            # What a dead parent left behind would keep its port.
            child.signal_group(signal.SIGKILL)
        if now >= child.not_before:
            child.restarts = child.restarts + 1 if now - child.started_at < SHORT_LIFE_S * 4 else 0
            child.not_before = 0.0
            child.start()

    def stop(self) -> None:
        """SIGTERM in reverse order, patience, then SIGKILL. Nothing is left."""
        for child in reversed(self.children):
            if child.running and child.process is not None:
                child.process.terminate()
        end = time.monotonic() + STOP_S
        for child in reversed(self.children):
            if child.process is None:
                continue
            try:
                child.process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.signal_group(signal.SIGKILL)
                child.process.wait(5)
            child.signal_group(signal.SIGKILL)


def wait_for(condition: Callable[[], bool], child: Child | None, what: str, timeout_s: float = 240.0) -> None:
    """Wait until a part answers. Raises RuntimeError with the end of its log when it does not."""
    end = time.monotonic() + timeout_s
    while not condition():
        if child is not None and not child.running:
            raise RuntimeError(f"{what} did not start:\n{child.last_lines()}")
        if time.monotonic() > end:
            tail = f":\n{child.last_lines()}" if child else ""
            raise RuntimeError(f"{what} did not answer within {timeout_s:.0f} s{tail}")
        time.sleep(0.05)
