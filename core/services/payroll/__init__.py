"""Payroll: who is on it, what is kept from pay, and each month's run. docs/payroll.md tells the whole story."""

from __future__ import annotations

from core.db import Database
from core.kernel.clock import Clock
from core.services.payroll.context import Audit, Context
from core.services.payroll.people import People
from core.services.payroll.rates import PayRates
from core.services.payroll.runs import Runs


class Payroll:
    """Every method is a short transaction of its own. A refusal is PayrollRefused with a code; nothing was changed."""

    def __init__(self, db: Database, clock: Clock, audit: Audit) -> None:
        context = Context(db, clock, audit)
        self.people = People(context)
        self.rates = PayRates(context)
        self.runs = Runs(context)
