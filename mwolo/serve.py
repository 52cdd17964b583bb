"""The web server: granian, because it costs half of what the others do for a small form post (`docs/benchmarks.md`)."""

from __future__ import annotations

from granian.constants import Interfaces
from granian.server import Server

from core import settings


def serve(*, host: str, port: int, processes: int, threads: int) -> None:
    """Serve `mwolo.wsgi` until told to stop. Raises BadSetting before a process is started, not in each of them."""
    settings.read()
    Server(
        "mwolo.wsgi:app",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=processes,
        blocking_threads=threads,
        # Without this one dead worker ends the whole server.
        respawn_failed_workers=True,
        log_access=False,
        websockets=False,
    ).serve()
