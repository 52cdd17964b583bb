"""One process of many that sell from one float: told by JSON what to sell, says by JSON what was granted.

`python -m tests.core.agents.seller_process` with a line on standard input.
"""

from __future__ import annotations

import json
import os
import sys

from core.agents.errors import AgentRefused
from core.db import Database
from core.kernel.clock import SystemClock
from core.kernel.errors import NotRecorded
from core.kernel.money import Money
from core.services.agents import Agents
from core.services.staff import Staff
from tests.core.agents.kiosk import END, FAST


def main() -> None:
    order = json.loads(sys.stdin.readline())
    db, clock = Database(order["url"], busy_timeout_s=30), SystemClock()
    staff = Staff(db, clock, "a secret of the tests", hasher=FAST)
    agents = Agents(db, clock, staff.audit, hasher=FAST)
    print("ready", flush=True)
    sys.stdin.readline()
    granted, refused = [], []
    for number, key in enumerate(order["keys"]):
        account = order["accounts"][number % len(order["accounts"])]
        while True:
            try:
                sale = agents.sell(order["agent_id"], account, Money(order["minor"], "CDF"), key, END, again=True)
            except AgentRefused as refusal:
                refused.append(refusal.code)
            except NotRecorded:
                # The database was busy: the same key again, never a new one.
                continue
            else:
                granted.append([key, sale.code])
            break
        if number + 1 == order.get("dies_after"):
            # Committed, and nobody heard of it.
            os._exit(9)
    print(json.dumps({"granted": granted, "refused": refused}), flush=True)


if __name__ == "__main__":
    main()
