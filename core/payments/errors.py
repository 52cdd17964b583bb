"""What the office can mend about money matters, as sentences the console shows."""

from __future__ import annotations

from core.kernel.errors import CustomerError


class BadRange(CustomerError):
    """A range of numbers that cannot be right, or that is not there."""
