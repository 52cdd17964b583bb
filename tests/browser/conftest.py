"""A browser on a busy machine gets its time: five seconds, Playwright's own limit, measure the machine."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def _patience() -> None:
    from playwright.sync_api import expect

    expect.set_options(timeout=60_000)
