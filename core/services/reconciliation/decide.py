"""Being written."""

from __future__ import annotations

from typing import Any


def lines(*args: Any, **more: Any) -> Any:
    raise NotImplementedError


def line(*args: Any, **more: Any) -> Any:
    raise NotImplementedError


def settle_line(*args: Any, **more: Any) -> Any:
    raise NotImplementedError
