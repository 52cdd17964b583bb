"""The story of operators in trouble, through the real processes, on the embedded stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.processes.test_demo import demo
from tests.realparts import free_port

pytestmark = pytest.mark.processes


def test_wallets_in_trouble(tmp_path: Path) -> None:
    """Down, lost answer, late money, money taken back; at the end the operators' reports and our books are equal."""
    process = demo("--scenario", "wallet-trouble", "--port", str(free_port()), "--data", str(tmp_path))
    out, _ = process.communicate(timeout=1800)
    assert process.returncode == 0, out
    assert "Every step happened." in out
