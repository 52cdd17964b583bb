"""`docs/settings.md` lists every setting with its default, and nothing that does not exist."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
from pydantic import SecretStr

from core.settings import PREFIX, Settings
from mwolo.sandbox.config import PREFIX as SANDBOX_PREFIX
from mwolo.sandbox.config import SandboxConfig

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"
NOTHING = "–"
_ROW = re.compile(r"^\| `(MWOLO_[A-Z0-9_]+)` \| (.+?) \|", re.MULTILINE)


def _shown(default: object) -> str:
    """A default as the page writes it."""
    value = default.get_secret_value() if isinstance(default, SecretStr) else default
    if value in (None, "", MISSING):
        return NOTHING
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _expected() -> dict[str, str]:
    product = {PREFIX + name.upper(): _shown(field.default) for name, field in Settings.model_fields.items()}
    box = {SANDBOX_PREFIX + field.name.upper(): _shown(field.default) for field in fields(SandboxConfig)}
    assert not set(product) & set(box), "a setting of the product looks like one of the sandbox"
    return product | box


EXPECTED = _expected()
# A bar inside a table's cell is written `\|`.
LISTED = [(name, default.replace("\\|", "|")) for name, default in _ROW.findall(PAGE.read_text("utf-8"))]


@pytest.mark.parametrize("variable", sorted(EXPECTED))
def test_every_setting_is_listed_with_its_default(variable: str) -> None:
    assert dict(LISTED).get(variable) == EXPECTED[variable]


def test_nothing_is_listed_that_does_not_exist() -> None:
    assert {name for name, _ in LISTED} - set(EXPECTED) == set()


def test_nothing_is_listed_twice() -> None:
    assert [name for name, times in Counter(name for name, _ in LISTED).items() if times > 1] == []
