"""Our seven import names are common ones: another distribution may ship the same and silently come first."""

from __future__ import annotations

from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("mwolo", "admin", "workers", "channels", "meters", "core", "locales")


@pytest.mark.parametrize("name", NAMES)
def test_the_name_is_ours(name: str) -> None:
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None, f"{name} has no __init__.py: any folder of that name would do"
    assert Path(spec.origin).resolve().parent == ROOT / name


@pytest.mark.parametrize("name", NAMES)
def test_no_installed_distribution_ships_the_name(name: str) -> None:
    assert set(packages_distributions().get(name, ["mwolo"])) == {"mwolo"}
