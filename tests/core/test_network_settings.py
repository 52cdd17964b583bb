"""What each network shows: a setting, checked at the start."""

from __future__ import annotations

import pytest

from core import settings
from core.settings import BadSetting


@pytest.fixture(autouse=True)
def _required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MWOLO_SECRET_KEY", "k" * 40)


def test_networks_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.read().networks == {}
    monkeypatch.setenv("MWOLO_USSD_NETWORKS", "63001=160, 63002=182a,63086=171")
    assert settings.read().networks == {"63001": (160, False), "63002": (182, True), "63086": (171, False)}


@pytest.mark.parametrize("wrong", ["63001", "63001=159", "63001=183", "63001=160b", "=160", "63001=a", "x y=160"])
def test_what_no_screen_is_proven_to_fit_is_refused(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("MWOLO_USSD_NETWORKS", f"63002=182,{wrong}")
    with pytest.raises(BadSetting, match="MWOLO_USSD_NETWORKS names"):
        settings.read()
