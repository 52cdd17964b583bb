"""Being written."""

from __future__ import annotations

from typing import Any


def items(*args: Any, **more: Any) -> Any:
    raise NotImplementedError


def item(*args: Any, **more: Any) -> Any:
    raise NotImplementedError


def place(*args: Any, **more: Any) -> Any:
    raise NotImplementedError


def withdraw(*args: Any, **more: Any) -> Any:
    raise NotImplementedError


def ageing(*args: Any, **more: Any) -> Any:
    raise NotImplementedError
