"""Low credit and the emergency amount: settings by currency, checked at the start."""

from __future__ import annotations

import pytest

from core import settings
from core.services.prepaid_use import UseSettings
from core.settings import BadSetting


@pytest.fixture(autouse=True)
def _required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MWOLO_SECRET_KEY", "k" * 40)


def test_amounts_are_read_in_units_of_each_currency(monkeypatch: pytest.MonkeyPatch) -> None:
    read = settings.read()
    assert UseSettings(read.prepaid_low_read, read.prepaid_emergency_read) == UseSettings()
    monkeypatch.setenv("MWOLO_PREPAID_EMERGENCY", "CDF=0, USD=1.25")
    assert settings.read().prepaid_emergency_read == {"CDF": 0, "USD": 125}


@pytest.mark.parametrize("wrong", ["CDF", "CDF=x", "EUR=1", "CDF=-1", "USD=0.001"])
def test_what_is_no_amount_is_refused(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("MWOLO_PREPAID_LOW", wrong)
    with pytest.raises(BadSetting, match="MWOLO_PREPAID_LOW must look like"):
        settings.read()
