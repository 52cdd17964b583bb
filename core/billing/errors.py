"""What can be wrong with billing data."""

from __future__ import annotations


class BadPolicy(ValueError):
    """A dunning policy that cannot be read. The text is one sentence naming the entry."""
