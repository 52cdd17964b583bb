"""Logs: one JSON object a line for machines, or text for people. Secrets and phone numbers are masked on the way out."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

_PHONE = re.compile(r"\+?243\d{9}|\+254\d{9}")


def _masked(text: str) -> str:
    return _PHONE.sub(lambda m: m.group()[:6] + "***" + m.group()[-3:], text)


def set_up(level: str, form: Literal["json", "text"], secrets: tuple[str, ...]) -> None:
    """Call once per process. `secrets`: values that must never stand in a log, whoever writes them."""
    hidden = tuple(s for s in secrets if len(s) >= 6)

    def redact(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in event.items():
            if isinstance(value, str):
                for secret in hidden:
                    value = value.replace(secret, "***")
                event[key] = _masked(value)
        return event

    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
