"""Every sentence of the code in every catalogue, with its own blanks; the command that builds them."""

from __future__ import annotations

import gettext
import os
import shutil
from pathlib import Path

import pytest

from core.i18n import LANGUAGES, PROOFREAD
from locales import build


def test_the_languages_are_those_of_the_menu() -> None:
    assert set(build.catalogues()) == set(LANGUAGES)


def test_nothing_is_missing_and_no_blank_is_lost() -> None:
    wrong = build.faults(build.sentences())
    assert not wrong, "\n".join(str(fault) for fault in wrong)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_says_whether_somebody_signed_it(language: str) -> None:
    path = build.catalogues()[language]
    assert build.is_draft(path) == (language not in PROOFREAD)
    assert build.headers(path)["Language"] == language
    assert not any(entry.fuzzy for entry in build.read(path) if entry.id)


def test_no_sentence_is_left_over() -> None:
    marked = build.sentences()
    for path in build.catalogues().values():
        assert {str(entry.id) for entry in build.read(path) if entry.id} <= set(marked)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for language, path in build.catalogues().items():
        target = tmp_path / language / "LC_MESSAGES" / "messages.po"
        target.parent.mkdir(parents=True)
        shutil.copy(path, target)
    return tmp_path


def test_building_again_builds_nothing(copy: Path) -> None:
    assert set(build.compile_all(copy)) == set(LANGUAGES)
    assert build.compile_all(copy) == []
    assert not list(copy.rglob(".messages-*"))
    source = copy / "lua" / "LC_MESSAGES" / "messages.po"
    later = source.with_suffix(".mo").stat().st_mtime_ns + 1_000_000_000
    os.utime(source, ns=(later, later))
    assert build.compile_all(copy) == ["lua"]


@pytest.mark.parametrize("language", ["kg", "lua"])
def test_languages_babel_does_not_know_are_compiled_all_the_same(copy: Path, language: str) -> None:
    build.compile_all(copy)
    catalogue = gettext.translation("messages", localedir=str(copy), languages=[language])
    sentence = "Account {account}: your power is back on. If your meter stays off, dial {code}."
    assert catalogue.gettext(sentence) != sentence


def test_faults_are_seen(copy: Path) -> None:
    source = copy / "sw" / "LC_MESSAGES" / "messages.po"
    text = source.read_text("utf-8")
    source.write_text(text.replace("umeme wako umerudi. Kama mita yako haiwaki, piga {code}", "umeme {kodi}"), "utf-8")
    sentence = "Account {account}: your power is back on. If your meter stays off, dial {code}."
    wrong = build.faults({sentence: ["core/notices/texts.py"], "Unheard of": ["core/x.py"]}, copy)
    assert build.Fault("sw", sentence, "other blanks") in wrong
    assert {fault.language for fault in wrong if fault.what == "missing"} == set(LANGUAGES)


def test_what_only_staff_see_is_not_asked_for_in_every_language(copy: Path) -> None:
    wrong = build.faults({"Unheard of": ["admin/views/x.py"]}, copy)
    assert {fault.language for fault in wrong} == build.STAFF_LANGUAGES


def test_a_computed_sentence_is_refused(tmp_path: Path) -> None:
    for name in build.CODE:
        (tmp_path / name).mkdir()
    (tmp_path / "core" / "x.py").write_text("a = N_('Pay')\nb = N_(a)\n")
    with pytest.raises(ValueError, match=r"core/x\.py:2"):
        build.sentences(tmp_path)


def test_a_translators_list_is_read(tmp_path: Path) -> None:
    good, bad, nameless = tmp_path / "sw_screens.tsv", tmp_path / "ln_x.tsv", tmp_path / "screens.tsv"
    good.write_text("Pay\tLipa\n\nBack\t\n", "utf-8")
    bad.write_text("Pay Lipa\n", "utf-8")
    nameless.write_text("Pay\tLipa\n", "utf-8")
    assert build.read_lists([good]) == {"sw": {"Pay": "Lipa"}}
    with pytest.raises(ValueError, match="ln_x"):
        build.read_lists([bad])
    with pytest.raises(ValueError, match="language"):
        build.read_lists([nameless])
