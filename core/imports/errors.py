"""What an import refuses, in words that the office reads."""

from __future__ import annotations

from core.kernel.errors import CustomerError


class ImportRefused(CustomerError):
    """Nothing was changed. As a string it is the sentence with its blanks filled."""

    def __str__(self) -> str:
        return self.text.format(**self.blanks)


class Wrong(Exception):
    """A cell that cannot be right; caught where its line is read. `text` is a msgid, `blanks` fill it."""

    def __init__(self, text: str, **blanks: str) -> None:
        super().__init__(text)
        self.text = text
        self.blanks = tuple(blanks.items())
