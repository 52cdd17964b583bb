"""Logs: one JSON object a line for machines, or text for people. Secrets and numbers are masked on the way out."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

from core.partner_http import RedactSecrets

# A shorter one would hide ordinary words.
SECRET_MIN = 6
_PHONE = re.compile(r"\+?243\d{9}|\+254\d{9}")


def _masked(text: str) -> str:
    return _PHONE.sub(lambda m: m.group()[:6] + "***" + m.group()[-3:], text)


def set_up(level: str, form: Literal["json", "text"], secrets: tuple[str, ...]) -> None:
    """Call once per process. `secrets`: values that must never stand in a log, whoever writes them."""

    def mask(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {key: _masked(value) if isinstance(value, str) else value for key, value in event.items()}

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
            RedactSecrets(s for s in secrets if len(s) >= SECRET_MIN),
            mask,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
