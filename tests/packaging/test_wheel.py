"""A wheel carries everything the program reads at run time, and installs our names only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.i18n import LANGUAGES

ROOT = Path(__file__).resolve().parents[2]
NAMES = {"mwolo", "admin", "workers", "channels", "meters", "core", "locales"}
# Read at run time, though no Python: what a wheel forgets first.
DATA = (".html", ".css", ".js", ".svg", ".ttf", ".csv", ".mako", ".po")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """Built from a copy, because others may compile catalogues or write caches in the tree meanwhile. No network."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in NAMES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, source / name)
    environment = {**os.environ, "PIP_NO_INDEX": "1"}
    compiled = subprocess.run(
        [sys.executable, "-m", "locales.build"], cwd=source, env=environment, capture_output=True, text=True
    )
    assert compiled.returncode == 0, compiled.stdout + compiled.stderr
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=source,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    [file] = folder.glob("*.whl")
    with zipfile.ZipFile(file) as opened:
        yield opened


def _files(wheel: zipfile.ZipFile) -> set[str]:
    return set(wheel.namelist())


def test_it_installs_only_our_names(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in _files(wheel)}
    assert {top for top in tops if not top.endswith(".dist-info")} == NAMES


def test_it_carries_every_catalogue(wheel: zipfile.ZipFile) -> None:
    assert {f"locales/{language}/LC_MESSAGES/messages.mo" for language in LANGUAGES} - _files(wheel) == set()


def test_it_carries_every_module_and_every_data_file(wheel: zipfile.ZipFile) -> None:
    wanted = {
        str(path.relative_to(ROOT))
        for name in NAMES
        for path in (ROOT / name).rglob("*")
        if path.is_file() and path.suffix in (".py", *DATA) and "__pycache__" not in path.parts
    }
    assert wanted - _files(wheel) == set()


@pytest.mark.parametrize(
    "file",
    [
        "core/phone_prefixes.csv",
        "core/documents/fonts/mwolo-sans.ttf",
        "core/documents/fonts/README.md",
        "core/db/migrations/env.py",
        "core/db/migrations/versions/0001_first_shapes.py",
        "mwolo/sandbox/page/phone.html",
        "mwolo/sandbox/page/static/phone.css",
        "admin/templates/admin/base.html",
        "admin/static/console.css",
    ],
)
def test_it_carries_what_a_process_needs_first(wheel: zipfile.ZipFile, file: str) -> None:
    assert file in _files(wheel)


def test_the_command_and_the_licence_come_with_it(wheel: zipfile.ZipFile) -> None:
    info = next(name for name in _files(wheel) if name.endswith(".dist-info/METADATA")).rpartition("/")[0]
    assert "mwolo = mwolo.cli:main" in wheel.read(f"{info}/entry_points.txt").decode()
    assert "The Mwolo authors" in wheel.read(f"{info}/licenses/LICENSE").decode()
    assert "Classifier: Private :: Do Not Upload" in wheel.read(f"{info}/METADATA").decode()
