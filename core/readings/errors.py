"""What can be wrong with readings."""

from __future__ import annotations

from core.kernel.errors import StateConflict


class UnknownReading(StateConflict):
    """There is no such reading, or nothing about it is left to decide."""


class BadFile(StateConflict):
    """A file that cannot be read as readings at all. The text is one sentence."""
