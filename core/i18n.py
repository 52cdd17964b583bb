"""Whole sentences in six languages, with named blanks. gettext catalogues, read once per process.

The msgid is the English sentence. A missing translation falls back to French, then to English; a test counts them.
Numbers and amounts are formatted by the caller in the one style of `core.kernel`; dates are numeric.
"""

from __future__ import annotations

import gettext
from datetime import date
from functools import cache
from pathlib import Path

LANGUAGES = ("fr", "sw", "ln", "kg", "lua", "en")
DEFAULT_LANGUAGE = "fr"
# How each language calls itself, for the language menu.
OWN_NAMES = {"fr": "Francais", "sw": "Kiswahili", "ln": "Lingala", "kg": "Kikongo", "lua": "Tshiluba", "en": "English"}
# A named speaker has signed for these; the others are marked draft in the console.
PROOFREAD = frozenset({"fr", "en"})

_DOMAIN = "messages"
_FOLDER = Path(__file__).resolve().parent.parent / "locales"


def N_(text: str) -> str:
    """Mark a sentence for translation where it is declared; it is translated where it is shown."""
    return text


def catalogue_folder() -> Path:
    return _FOLDER


@cache
def _catalogue(language: str) -> gettext.NullTranslations:
    return gettext.translation(_DOMAIN, localedir=str(_FOLDER), languages=[language], fallback=True)


def translate(text: str, language: str, /, **blanks: str) -> str:
    """`text` (an English msgid) in `language`, its named blanks filled. Raises KeyError when a blank is not given."""
    if not text:
        return ""  # to gettext the empty msgid is the head of the catalogue
    if language == "en":
        return text.format(**blanks)
    out = _catalogue(language).gettext(text)
    if out == text and language != DEFAULT_LANGUAGE:
        out = _catalogue(DEFAULT_LANGUAGE).gettext(text)
    return out.format(**blanks)


def is_translated(text: str, language: str) -> bool:
    """Whether `text` (an English msgid) has words of its own in `language`, and need not be shown in French."""
    return language == "en" or text in getattr(_catalogue(language), "_catalog", {})


def day(value: date) -> str:
    """Numeric in every language: 24/03/2026."""
    return value.strftime("%d/%m/%Y")


def short_day(value: date) -> str:
    """For a screen of 160 characters: 24/03."""
    return value.strftime("%d/%m")
