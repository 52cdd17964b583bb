"""The lock files name no host and pin every line by hash, and cover what pyproject.toml asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("run.lock", "test.lock")
_PIN = re.compile(r"^(?P<name>[a-z0-9][a-z0-9._-]*)(?:\[[a-z0-9,_-]+\])?==(?P<version>[^\s;]+)(?:\s*;.*)?$")
_HASH = re.compile(r"^--hash=sha256:[0-9a-f]{64}$")


def _requirements(lock: str) -> list[tuple[str, list[str]]]:
    """(what is pinned, its hashes), one for each logical line."""
    text = (ROOT / "requirements" / lock).read_text("utf-8")
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]
    parted = [re.split(r"\s+(?=--hash=)", line.strip()) for line in lines]
    return [(first.strip(), rest) for first, *rest in parted]


def _names(lock: str) -> set[str]:
    return {_plain(found["name"]) for pin, _ in _requirements(lock) if (found := _PIN.match(pin))}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _asked(requirements: list[str]) -> set[str]:
    return {_plain(re.split(r"[\[<>=!~; ]", line, maxsplit=1)[0]) for line in requirements}


@pytest.mark.parametrize("lock", LOCKS)
def test_no_host_is_named(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text("utf-8")
    assert re.findall(r"\w+://\S*|^\s*-{1,2}(?:i|f|index-url|extra-index-url|find-links)\b.*$", text, re.M) == []
    assert " @ " not in text


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_is_pinned_by_hash(lock: str) -> None:
    requirements = _requirements(lock)
    assert requirements
    assert [pin for pin, hashes in requirements if not _PIN.match(pin)] == []
    assert [pin for pin, hashes in requirements if not hashes or not all(map(_HASH.match, hashes))] == []


def test_the_locks_cover_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert _asked(project["dependencies"]) - _names("run.lock") == set()
    assert _asked(project["optional-dependencies"]["test"]) - _names("test.lock") == set()


def test_what_runs_is_what_is_tested() -> None:
    """Both locks pin the same versions of what both have."""
    run, test = ({pin for pin, _ in _requirements(lock)} for lock in LOCKS)
    assert run - test == set()


def test_no_lock_with_hosts_is_kept() -> None:
    ignored = (ROOT / ".gitignore").read_text("utf-8").split()
    assert {"/uv.lock", "/pylock.toml"} <= set(ignored)
