"""What a meter is doing, in words: supply wanted and reported, the last reading, and how long what was paid lasts."""

from __future__ import annotations

from datetime import datetime, timedelta

from channels.ussd.menu.screen import Line, line
from core.customers.model import ContractView, PrepaidView, ReadingView
from core.i18n import N_, short_day
from core.kernel.clock import local_date

# Meters that are told by digits on their keypad: nobody hears from them.
KEYPADS = frozenset({"openpaygo_token", "sts_token"})
_DAY = timedelta(days=1)


def is_keypad(contract: ContractView) -> bool:
    """A prepaid account whose meter takes tokens."""
    return contract.kind == "prepaid" and contract.control in KEYPADS


def supply(contract: ContractView) -> Line:
    """What we want of the meter and what it says itself; where the two differ, that it is on its way."""
    meter = contract.meter_id or ""
    wanted = contract.supply or "on"
    reported = contract.reading.supply if contract.reading is not None else wanted
    if wanted == "on" and reported == "on":
        return line(N_("Meter {meter}: supply is on."), meter=meter)
    if wanted == "on":
        return line(N_("Meter {meter}: supply is coming back."), meter=meter)
    if reported == "on":
        return line(N_("Meter {meter}: supply is about to be cut."), meter=meter)
    return line(N_("Meter {meter}: supply is off."), meter=meter)


def reading(contract: ContractView, seen: ReadingView) -> Line | None:
    """The register in whole kWh and the day it was read; None where the meter tells none."""
    if seen.energy_wh is None:
        return None
    kwh = f"{seen.energy_wh // 1_000:,}".replace(",", " ")
    return line(N_("Reading {kwh} kWh, {date}."), kwh=kwh, date=_day(seen.at, contract))


def left(contract: ContractView, at: datetime) -> Line:
    """How long what was paid lasts, as far as we know: a keypad tells nothing back."""
    bought = contract.prepaid
    if bought is None:
        return line(N_("No token bought yet."))
    if bought.paid_until is None:
        return line(N_("Last token: {kwh} kWh, {date}."), kwh=str(bought.quantity), date=day_of(bought, contract))
    remaining = bought.paid_until - at
    if remaining <= timedelta(0):
        return line(N_("Your days ended on {date}."), date=_day(bought.paid_until, contract))
    if remaining < _DAY / 2:
        return line(N_("Less than a day left."))
    # To the nearest day: "about" is all that anybody can say of tokens that may lie untyped.
    days = (remaining + _DAY / 2) // _DAY
    if days == 1:
        return line(N_("About 1 day left."))
    return line(N_("About {days} days left."), days=str(days))


def is_over(contract: ContractView, at: datetime) -> bool:
    """Whether everything that was paid for is used up, by the calendar."""
    bought = contract.prepaid
    return bought is not None and bought.paid_until is not None and bought.paid_until <= at


def day_of(bought: PrepaidView, contract: ContractView) -> str:
    """The day on which the newest tokens were issued, as the site calls it."""
    return _day(bought.issued_at, contract)


def _day(at: datetime, contract: ContractView) -> str:
    return short_day(local_date(at, contract.time_zone))
