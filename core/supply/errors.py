"""What goes wrong with supply."""

from __future__ import annotations

from core.kernel.errors import ServiceError


class UnknownMeter(ServiceError):
    """There is no meter with this id."""
