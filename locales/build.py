"""Catalogues: compile them, bring them up to date with the code, say what is missing.

`python -m locales.build` compiles every `.po` that is newer than its `.mo`; nothing to do takes no time.
`python -m locales.build --sync` adds the sentences of the code that a catalogue lacks (untranslated) and drops those no
code shows any more; `--merge sw_screens.tsv` does so with a translator's list at hand (the name starts with the
language; a line is the English sentence, a tab, its translation). `--check` says what is missing and leaves 1.

Kikongo and Tshiluba are in no table of Babel's: a catalogue's language is the name of its folder, nothing is looked up.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

from babel.messages import pofile
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from jinja2 import Environment
from jinja2.ext import extract_from_ast

FOLDER = Path(__file__).resolve().parent
MARKER = "N_"
CODE = ("mwolo", "admin", "workers", "channels", "meters", "core")
# What only staff see is asked for in the languages staff work in; customers' sentences in every language.
STAFF_CODE = (
    "admin/",
    "core/api_access/",
    "core/billing/tariffs",
    "core/customers/agency_rules",
    "core/payments/errors",
    "core/payments/refund_model",
    "core/csv_files",
    "core/desk/dunning_words",
    "core/imports/",
    "core/readings/",
    "core/reconciliation/",
    "core/services/agencies",
    "core/services/api_tokens",
    "core/services/desk",
    "core/services/dunning_",
    "core/services/foresight",
    "core/services/imports/__init__",
    "core/services/imports/looking",
    "core/services/imports/takers",
    "core/services/links",
    "core/services/prepaid",
    "core/services/readings",
    "core/services/tariffs",
    "core/services/queues",
    "core/services/reconciliation",
    "core/services/routing",
    "core/services/staff",
    "core/settlement/foresight",
    "core/staff/",
    "mwolo/cli",
    "mwolo/dunning_commands",
    "mwolo/sweeping",
)
STAFF_LANGUAGES = frozenset({"fr", "en"})
# Its sentences are the msgids themselves.
SOURCE_LANGUAGE = "en"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one sentence of one catalogue."""

    language: str
    sentence: str
    what: str

    def __str__(self) -> str:
        return f"{self.language}: {self.what}: {self.sentence!r}"


def catalogues(folder: Path = FOLDER) -> dict[str, Path]:
    """language → its `messages.po`."""
    return {path.parent.parent.name: path for path in sorted(folder.glob("*/LC_MESSAGES/messages.po"))}


def read(path: Path) -> Catalog:
    """A catalogue as it stands. Raises babel's PoFileError for one that is broken."""
    with path.open("rb") as file:
        return pofile.read_po(file, abort_invalid=True)


def is_draft(path: Path) -> bool:
    """Whether a catalogue says of itself that no speaker has signed it yet."""
    return headers(path).get("X-Mwolo-Status") == "draft"


def headers(path: Path) -> dict[str, str]:
    """A catalogue's own header lines, in order. Babel keeps only those it knows."""
    block = path.read_text("utf-8").split("\n\n", 1)[0]
    return dict(re.findall(r'^"([\w-]+): (.*?)\\n"$', block, re.MULTILINE))


def compile_all(folder: Path = FOLDER) -> list[str]:
    """Compile what is out of date. Returns the languages that were; several processes may run this at once."""
    done = []
    for language, source in catalogues(folder).items():
        target = source.with_suffix(".mo")
        if target.exists() and target.stat().st_mtime_ns >= source.stat().st_mtime_ns:
            continue
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".messages-", delete=False) as file:
            write_mo(file, read(source))
        Path(file.name).chmod(0o644)
        # In one step: a process that starts meanwhile reads the old catalogue or the new one, never half of one.
        os.replace(file.name, target)
        done.append(language)
    return done


def sentences(root: Path | None = None) -> dict[str, list[str]]:
    """Every sentence marked with `N_`, or with `_` in a template → the files it stands in.

    Raises ValueError for one marked in code that is computed.
    """
    found: dict[str, list[str]] = {}
    root = FOLDER.parent if root is None else root
    for name in CODE:
        for path in sorted(path for path in (root / name).rglob("*") if path.suffix in (".py", ".html")):
            place = path.relative_to(root).as_posix()
            for sentence in _shown(path) if path.suffix == ".html" else _marked(path, place):
                places = found.setdefault(sentence, [])
                if place not in places:
                    places.append(place)
    return found


def _shown(path: Path) -> Iterator[str]:
    """The sentences of a template. Without Flask's own filters it still parses: nothing is rendered here."""
    # S701: a parser escapes nothing.
    parsed = Environment(extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"]).parse(path.read_text("utf-8"))  # noqa: S701
    for _line, _function, sentence in extract_from_ast(parsed, gettext_functions=("_",)):
        if isinstance(sentence, str):
            yield sentence
        elif isinstance(sentence, tuple) and isinstance(sentence[0], str):
            yield sentence[0]


def _marked(path: Path, place: str) -> Iterator[str]:
    text = path.read_text("utf-8")
    if f"{MARKER}(" not in text:
        return
    for node in ast.walk(ast.parse(text, place)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == MARKER):
            continue
        sentence = node.args[0] if len(node.args) == 1 else None
        if not isinstance(sentence, ast.Constant) or not isinstance(sentence.value, str):
            raise ValueError(f"{place}:{node.lineno}: {MARKER} takes one sentence, written out")
        yield sentence.value


def for_staff_only(places: list[str]) -> bool:
    return all(place.startswith(STAFF_CODE) for place in places)


def faults(marked: Mapping[str, list[str]], folder: Path = FOLDER) -> list[Fault]:
    """What catalogues lack, and where a translation has lost or invented a blank."""
    found = []
    for language, path in catalogues(folder).items():
        catalogue = read(path)
        for sentence, places in marked.items():
            entry = catalogue.get(sentence)
            said = str(entry.string) if entry is not None and entry.string else ""
            if not said and language not in STAFF_LANGUAGES and for_staff_only(places):
                continue
            if not said:
                found.append(Fault(language, sentence, "missing"))
            elif entry is not None and entry.fuzzy:
                found.append(Fault(language, sentence, "fuzzy, so it is not compiled"))
            elif blanks_of(said) != blanks_of(sentence):
                found.append(Fault(language, sentence, "other blanks"))
            elif language == SOURCE_LANGUAGE and said != sentence:
                found.append(Fault(language, sentence, "English is its own msgid"))
    return found


def blanks_of(sentence: str) -> list[str]:
    """Its named blanks, sorted, each as often as it stands there."""
    return sorted(name for _, name, _, _ in Formatter().parse(sentence) if name is not None)


def sync(translations: Mapping[str, Mapping[str, str]] | None = None, folder: Path = FOLDER) -> None:
    """Bring every catalogue in line with the code. `translations`: language → sentence → its translation, to add."""
    marked = sentences()
    for language, path in catalogues(folder).items():
        wanted = {
            sentence: places
            for sentence, places in marked.items()
            if language in STAFF_LANGUAGES or not for_staff_only(places)
        }
        given = (translations or {}).get(language, {})
        old = read(path)
        said: dict[str, str] = {}
        for sentence in wanted:
            entry = old.get(sentence)
            kept = str(entry.string) if entry is not None and entry.string else ""
            said[sentence] = sentence if language == SOURCE_LANGUAGE else given.get(sentence, kept)
        _write(path, wanted, said)


def read_lists(files: Sequence[Path]) -> dict[str, dict[str, str]]:
    """language → sentence → translation, from translators' lists. Raises ValueError for a line without a tab."""
    found: dict[str, dict[str, str]] = {}
    for file in files:
        language = file.name.split(".")[0].split("_")[0]
        if language not in catalogues():
            raise ValueError(f"{file.name}: the name must start with a language and _, such as sw_screens.tsv")
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
            sentence, tab, said = line.replace("\\n", "\n").partition("\t")
            if line.strip() and not tab:
                raise ValueError(f"{file.name}:{number}: no tab between sentence and translation")
            if said.strip():
                found.setdefault(language, {})[sentence] = said
    return found


def _write(path: Path, marked: Mapping[str, list[str]], said: Mapping[str, str]) -> None:
    """One sentence a line, places without line numbers: a diff shows what changed and nothing else."""
    lines = ["# Texts of Mwolo. `docs/languages.md` says how to mend a sentence.", 'msgid ""', 'msgstr ""']
    lines += [f'"{name}: {value}\\n"' for name, value in headers(path).items()]
    for sentence, places in marked.items():
        lines += ["", *(f"#: {place}" for place in places)]
        lines += [f"msgid {_quoted(sentence)}", f"msgstr {_quoted(said[sentence])}"]
    path.write_text("\n".join(lines) + "\n", "utf-8")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t") + '"'


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m locales.build", description="Compile and check the catalogues.")
    parser.add_argument("--sync", action="store_true", help="add the code's new sentences, drop those it lost")
    parser.add_argument("--merge", nargs="+", type=Path, default=[], metavar="LIST", help="--sync, with these lists")
    parser.add_argument("--check", action="store_true", help="say what is missing; leaves 1 when something is")
    chosen = parser.parse_args(arguments)
    if chosen.sync or chosen.merge:
        sync(read_lists(chosen.merge))
    wrong = faults(sentences()) if chosen.check else []
    for fault in wrong:
        sys.stderr.write(f"{fault}\n")
    for language in compile_all():
        sys.stderr.write(f"compiled {language}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
