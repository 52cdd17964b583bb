"""Few tests that wait for others are run once more, alone; nothing else is excused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import run

PAGE, STORY, MONEY = "tests/browser/a.py::one", "tests/processes/b.py::two", "tests/core/c.py::three"


@pytest.mark.parametrize(
    ("failed", "again", "unsteady"),
    [
        ((PAGE,), 0, (PAGE,)),
        ((PAGE, STORY, PAGE), 0, (PAGE, STORY)),
        ((PAGE,), 1, ()),
        ((MONEY,), 0, ()),
        ((PAGE, MONEY), 0, ()),
        ((PAGE, STORY, "tests/browser/a.py::more"), 0, ()),
        ((), 0, ()),
    ],
)
def test_who_gets_one(
    failed: tuple[str, ...],
    again: int,
    unsteady: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[list[str]] = []

    def look(names: list[str], _env: dict[str, str]) -> int:
        looked.append(names)
        return again

    monkeypatch.setattr(run, "_pytest", look)
    file = tmp_path / "failed"
    if failed:
        file.write_text("".join(f"{name}\n" for name in failed))
    assert run._second_look(file, {}) == unsteady
    assert looked == ([list(unsteady)] if unsteady else looked)
