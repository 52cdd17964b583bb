"""Serves the box as a process of its own.

On werkzeug's threaded server, not on granian: a fault must be able to cut a connection without an answer, which needs
the socket, and a synchronous wallet call keeps its thread until somebody has typed a PIN, which needs as many threads
as there are callers. The box is never part of a production system, so its server need not be fast.
"""

from __future__ import annotations

import logging
import signal
import socket
import threading
from types import FrameType

from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from mwolo.sandbox.app import create_app, sandbox_of
from mwolo.sandbox.config import SandboxConfig
from mwolo.sandbox.ports import ClockControl, MeterBox

HOST = "127.0.0.1"


class _Quiet(WSGIRequestHandler):
    """Writes no line per request, for numbers and PINs stand in them; lets an operator tell its own time."""

    _headers_buffer: list[bytes]

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass

    def send_header(self, keyword: str, value: str) -> None:
        if keyword.lower() == "date":
            # The server has written its own before it looked at the answer's headers: a second one would be no date.
            self._headers_buffer = [line for line in self._headers_buffer if not line.lower().startswith(b"date:")]
        super().send_header(keyword, value)


def threaded_server(app: Flask, port: int = 0, host: str = HOST) -> BaseWSGIServer:
    """A server bound to `host`, not yet running; `server.port` says where (0: any free port). Raises OSError."""
    # Bound here, because werkzeug ends the process when it finds the port taken.
    with socket.create_server((host, port), backlog=256) as bound:
        taken: int = bound.getsockname()[1]
        return make_server(host, taken, app, threaded=True, request_handler=_Quiet, fd=bound.fileno())


def run(
    config: SandboxConfig,
    port: int,
    *,
    clock_control: ClockControl | None = None,
    meters: MeterBox | None = None,
    host: str = HOST,
) -> int:
    """Serve until SIGTERM or SIGINT, then end threads, meters and connections. Returns the exit code.

    Raises OSError when the port is taken.
    """
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    app = create_app(config, clock_control=clock_control, meters=meters)
    try:
        server = threaded_server(app, port, host)
    except BaseException:
        sandbox_of(app).close()
        raise
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    serving = threading.Thread(target=server.serve_forever, name="sandbox-http", daemon=True)
    serving.start()
    if meters is not None:
        meters.start()
    try:
        stop.wait()
    finally:
        server.shutdown()
        if meters is not None:
            meters.stop()
        sandbox_of(app).close()
        server.server_close()
    return 0
