"""What can be wrong with billing data."""

from __future__ import annotations


class BadPolicy(ValueError):
    """A dunning policy that cannot be read. The text is one sentence naming the entry."""


class BadTariff(ValueError):
    """A tariff that cannot be charged by: a sentence naming the entry. `text` is an English msgid, `blanks` fill it."""

    def __init__(self, text: str, **blanks: str) -> None:
        super().__init__(text.format(**blanks))
        self.text = text
        self.blanks = blanks


class NoTariff(ValueError):
    """No version of a tariff is in force on a day that is to be billed."""
