"""The single door through which money changes anything."""

from core.settlement.post import Posted, post

__all__ = ["Posted", "post"]
