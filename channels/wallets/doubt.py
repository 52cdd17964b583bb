"""How an adapter says that nobody knows, so that the operator's own trouble is seen in it."""

from __future__ import annotations


def doubt(status: int, code: str | None) -> str:
    """The `why` of an Unknown. An HTTP status of 500 and more stands first: whatever code came with it, an operator
    that gives no other answers is in trouble, and is left alone for a while (`core.payments.circuit`). Codes that are a
    clear word about the payment do not belong in here."""
    if status >= 500:
        return f"{status} {code}" if code else str(status)
    return code or f"http_{status}"
