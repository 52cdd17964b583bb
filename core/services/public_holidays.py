"""The country's holidays as days on which no counter is open."""

from __future__ import annotations

from datetime import date, timedelta

from core.customers.opening import Spans
from core.supply.holidays import holiday_name


def holidays_between(since: date, until: date) -> dict[date, str]:
    """day → what it is a holiday for, both ends included."""
    days = (since + timedelta(days=ahead) for ahead in range((until - since).days + 1))
    return {day: name for day in days if (name := holiday_name(day)) is not None}


def without_hours(since: date, until: date) -> dict[date, Spans]:
    """The same days as hours that differ from the week's: none."""
    return dict.fromkeys(holidays_between(since, until), ())
