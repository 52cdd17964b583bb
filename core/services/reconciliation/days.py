"""Being written."""

from __future__ import annotations

from typing import Any


def ours_only(*args: Any, **more: Any) -> Any:
    raise NotImplementedError


def day(*args: Any, **more: Any) -> Any:
    raise NotImplementedError


def days(*args: Any, **more: Any) -> Any:
    raise NotImplementedError


def after_closing(*args: Any, **more: Any) -> Any:
    raise NotImplementedError


def close_day(*args: Any, **more: Any) -> Any:
    raise NotImplementedError


def totals(*args: Any, **more: Any) -> Any:
    raise NotImplementedError
