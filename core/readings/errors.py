"""What can be wrong with readings."""

from __future__ import annotations

from core.kernel.errors import Refused


class UnknownReading(Refused):
    """There is no such reading, or nothing about it is left to decide."""


class BadFile(Refused):
    """A file that cannot be read as readings at all. `text` is one sentence."""
