"""What an office does wrong with tokens, and a program with its keys.

ServiceError
├── CustomerError
│   └── BadToken        a name, a scope or an end that cannot be
└── KeyTrouble          an idempotency key that cannot be used now
    ├── KeyReused           it came before with another content
    └── KeyInHand           the same request is being carried out at this moment
"""

from __future__ import annotations

from core.kernel.errors import CustomerError, ServiceError


class BadToken(CustomerError):
    """A token that cannot be made or found; the text says why."""

    def __str__(self) -> str:
        return self.text.format(**self.blanks)


class KeyTrouble(ServiceError):
    """Nothing was done."""


class KeyReused(KeyTrouble):
    """This key came before with another content."""


class KeyInHand(KeyTrouble):
    """The same request is being carried out at this moment."""
