"""The public documents: links lead somewhere, the two commands are named, nothing of one machine stands in them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _documents() -> list[Path]:
    """Every Markdown file that belongs to the repository, written but not yet added ones included."""
    told = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    names = told.stdout.split("\n") if told.returncode == 0 else [str(p.relative_to(ROOT)) for p in _by_hand()]
    return sorted(ROOT / name for name in names if name and (ROOT / name).exists())


def _by_hand() -> list[Path]:
    """In an unpacked archive there is no git to ask."""
    return [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("core/**/*.md")]


DOCUMENTS = _documents()
_LINK = re.compile(r"\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
_IMAGE = re.compile(r"<img[^>]*\ssrc=\"([^\"]+)\"")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
# Folders of a machine. A path of the project is written from the repository's root, without a slash.
_MACHINE_PATH = re.compile(r"(?<![\w.:/<>*)`…-])/(?:home|root|work|tmp|Users|mnt|opt/mwolo-build)/\S*")
# Where packages come from is the installer's business, not the documents'.
_REGISTRY = re.compile(r"pypi\.org|pythonhosted\.org|registry\.npmjs|files\.python", re.IGNORECASE)


def _id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _prose(path: Path) -> str:
    return _FENCE.sub("", path.read_text("utf-8"))


def _anchors(page: Path) -> set[str]:
    """The headings of a page, as common renderers name them in addresses."""
    headings = (re.sub(r"[^\w\- ]", "", h.lower()) for h in _HEADING.findall(_prose(page)))
    return {heading.strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", DOCUMENTS, ids=_id)
def test_relative_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in [*_LINK.findall(_prose(page)), *_IMAGE.findall(_prose(page))]:
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.is_relative_to(ROOT) or not file.exists() or (anchor and anchor not in _anchors(file)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", DOCUMENTS, ids=_id)
def test_nothing_of_one_machine_stands_in_it(page: Path) -> None:
    text = page.read_text("utf-8")
    assert _MACHINE_PATH.findall(text) == []
    assert _REGISTRY.findall(text) == []


def test_the_readme_names_the_two_commands_first() -> None:
    first_screen = "\n".join((ROOT / "README.md").read_text("utf-8").splitlines()[:40])
    for command in ("make demo", "make test"):
        assert re.search(rf"^{command}\b", first_screen, re.MULTILINE), f"`{command}` is not on the first screen"


def test_the_index_of_docs_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    linked = {(ROOT / "docs" / target.partition("#")[0]).resolve() for target in _LINK.findall(index)}
    pages = {page.resolve() for page in (ROOT / "docs").glob("**/*.md")} - {(ROOT / "docs" / "README.md").resolve()}
    assert {str(p.relative_to(ROOT)) for p in pages - linked} == set()
