"""Being written."""

from __future__ import annotations

from typing import Any


def saved_mapping(*args: Any, **more: Any) -> Any:
    raise NotImplementedError


def preview(*args: Any, **more: Any) -> Any:
    raise NotImplementedError


def import_file(*args: Any, **more: Any) -> Any:
    raise NotImplementedError


def import_api(*args: Any, **more: Any) -> Any:
    raise NotImplementedError


def fetch_yesterday(*args: Any, **more: Any) -> Any:
    raise NotImplementedError


def listed(*args: Any, **more: Any) -> Any:
    raise NotImplementedError
