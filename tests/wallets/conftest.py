"""Leaves out pairs of a wallet and a fault that its operator does not play: a test of nothing would look like proof."""

from __future__ import annotations

import pytest

from tests.wallets.fault_town import PLAYED, PLAYERS


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if not _is_played(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _is_played(item: pytest.Item) -> bool:
    params = getattr(getattr(item, "callspec", None), "params", {})
    if "played" not in params or "fault" not in params:
        return True
    return params["fault"] in ("none", *PLAYED[PLAYERS[params["played"]].wallet])
