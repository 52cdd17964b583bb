"""What can be wrong with billing data."""

from __future__ import annotations


class BadPolicy(ValueError):
    """A dunning policy that cannot be read. The text is one sentence naming the entry."""


class BadTariff(ValueError):
    """A tariff that cannot be charged by. The text is one sentence naming the entry."""


class NoTariff(ValueError):
    """No version of a tariff is in force on a day that is to be billed."""
