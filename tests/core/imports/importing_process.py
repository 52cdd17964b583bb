"""A process that writes an import until it is killed."""

from __future__ import annotations

import sys

from core.db import Database
from core.kernel.clock import SystemClock
from core.services.imports import Imports

if __name__ == "__main__":
    url, import_id = sys.argv[1], int(sys.argv[2])
    Imports(Database(url, busy_timeout_s=30), SystemClock(), lambda *_: None).carry_on(
        import_id, watch=lambda lines: print(lines, flush=True)
    )
