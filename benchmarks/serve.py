"""Serves one application as `mwolo web` does: the server is the same for all that is compared.

python -m benchmarks.serve TARGET PORT PROCESSES THREADS
"""

from __future__ import annotations

import sys

from granian.constants import Interfaces
from granian.server import Server


def main() -> None:
    target, port, processes, threads = sys.argv[1:]
    Server(
        target,
        address="127.0.0.1",
        port=int(port),
        interface=Interfaces.WSGI,
        workers=int(processes),
        blocking_threads=int(threads),
        respawn_failed_workers=True,
        log_access=False,
        websockets=False,
    ).serve()


if __name__ == "__main__":
    main()
