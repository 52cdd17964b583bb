"""What reconciliation refuses, in words that a clerk reads.

ReconciliationRefused(StateConflict)    `text` is a msgid, `blanks` fill it
├── BadFile         nothing was taken: the file as a whole cannot be read
└── BadMapping      nothing was taken: the columns or options make no sense
"""

from __future__ import annotations

from core.kernel.errors import StateConflict


class ReconciliationRefused(StateConflict):
    """Nothing was changed. `text` is an English msgid; `blanks` fill it."""

    def __init__(self, text: str, **blanks: str) -> None:
        super().__init__(text.format(**blanks))
        self.text = text
        self.blanks = blanks


class BadFile(ReconciliationRefused):
    """The file is no table that we can read."""


class BadMapping(ReconciliationRefused):
    """The columns or options that were given cannot be used."""
