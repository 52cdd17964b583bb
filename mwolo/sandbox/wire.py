"""What the operators' servers share: answering late, cutting the line, and reading the faults that decide an end."""

from __future__ import annotations

import socket
from typing import Any

from flask import Response, request

from mwolo.sandbox.faults import Faults
from mwolo.sandbox.store import Bell

# Faults that are decided when the request is taken on, and followed to its end.
_PLANNED = ("late_success", "no_funds", "wrong_amount", "wrong_currency", "never_final", "reversed")
# Faults that decide what is told of the request, and their names in a plan (see `callbacks`).
_TOLD = {"reordered_callbacks": "held", "forged_callback": "forged", "unknown_reference": "invented"}


def cut_connection() -> Response:
    """Close the caller's connection without an answer. Where no socket is at hand (Flask's test client), a bare 502."""
    line: socket.socket | None = request.environ.get("werkzeug.socket")
    if line is not None:
        line.shutdown(socket.SHUT_RDWR)
    return Response(status=502)


def pause(bell: Bell, seconds: float) -> None:
    """Let time pass, but not past the closing of the box."""
    bell.wait_for(lambda: False, seconds)


def clock_of(faults: Faults, wallet: str, at: float, phone: str | None = None) -> float:
    """A moment as this operator's clock shows it: `clock_skew` puts it wrong."""
    return at + faults.skew_s(wallet, phone)


def slow_seconds(params: dict[str, Any]) -> float:
    return float(params.get("seconds", 5))


def plan_for(faults: Faults, wallet: str, phone: str, *, refusal: str) -> dict[str, Any]:
    """Take the faults that will decide the end of a request of this phone. `refusal`: the usual code of `refused`."""
    plan: dict[str, Any] = {}
    for name in _PLANNED:
        params = faults.take(wallet, name, phone)
        if params is not None:
            plan[name] = params
    refused = faults.take(wallet, "refused", phone)
    if refused is not None:
        plan["refused"] = str(refused.get("code", refusal))
    if faults.take(wallet, "lost_callback", phone) is not None:
        plan["callbacks"] = 0
    else:
        duplicate = faults.take(wallet, "duplicate_callback", phone)
        if duplicate is not None:
            plan["callbacks"] = int(float(duplicate.get("copies", 2)))
    if faults.take(wallet, "callback_before_answer", phone) is not None:
        plan["callback_first"] = True
    for name, planned in _TOLD.items():
        params = faults.take(wallet, name, phone)
        if params is not None:
            plan[planned] = params
    return plan
