"""What `translate` answers for what has no words."""

from __future__ import annotations

import pytest

from core.i18n import translate


@pytest.mark.parametrize("language", ["fr", "en", "lua"])
def test_nothing_said_is_nothing(language: str) -> None:
    assert translate("", language) == "", "to gettext the empty sentence is the catalogue's own head"
