"""One process of many that sell from one float: told what to sell, says what was granted."""

from __future__ import annotations

import os
from multiprocessing.connection import Connection
from typing import Any

from core.agents.errors import AgentRefused
from core.db import Database
from core.kernel.clock import SystemClock
from core.kernel.errors import NotRecorded
from core.kernel.money import Money
from core.services.agents import Agents
from core.services.staff import Staff
from tests.core.agents.kiosk import END, FAST


def sell(order: dict[str, Any], line: Connection) -> None:
    """Say that we are ready, wait for the word, sell, say what became of it."""
    db, clock = Database(order["url"], busy_timeout_s=30), SystemClock()
    staff = Staff(db, clock, "a secret of the tests", hasher=FAST)
    agents = Agents(db, clock, staff.audit, hasher=FAST)
    line.send("ready")
    line.recv()
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
    line.send({"granted": granted, "refused": refused})
