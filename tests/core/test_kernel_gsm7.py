"""Septets, folding and segments over any text a person or a book may hold."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from core.kernel import gsm7

TEXT = st.text(max_size=400)
GSM = st.text(gsm7._BASIC + gsm7._EXTENSION, max_size=400)


@given(TEXT)
def test_what_is_folded_has_septets(text: str) -> None:
    folded = gsm7.fold(text)
    assert gsm7.septets(folded) is not None
    assert gsm7.fold(folded) == folded


@given(GSM)
def test_what_is_in_the_alphabet_stays(text: str) -> None:
    assert gsm7.fold(text) == unicodedata.normalize("NFC", text).replace("\u212b", "Å")
    assert (gsm7.septets(text) or 0) >= len(text)


@given(TEXT)
def test_ascii_is_ascii(text: str) -> None:
    assert gsm7.ascii_only(text).isascii()
    assert gsm7.is_gsm7(gsm7.ascii_only(text))


@given(TEXT, TEXT)
def test_a_longer_text_never_takes_fewer_segments(start: str, more: str) -> None:
    assert gsm7.segments(start) >= 1
    assert gsm7.segments(start) <= gsm7.segments(start + more)


@given(GSM)
def test_segments_follow_the_septets(text: str) -> None:
    count = gsm7.septets(text)
    assert count is not None
    parts = gsm7.segments(text)
    assert (parts == 1) == (count <= gsm7.SINGLE)
    if parts > 1:
        # An escape pair that does not fit costs a part at most one septet.
        assert -(-count // gsm7.PART) <= parts <= -(-count // (gsm7.PART - 1))


@given(TEXT, st.integers(0, 200))
def test_cutting_keeps_the_longest_start_that_fits(text: str, room: int) -> None:
    folded = gsm7.fold(text)
    kept = gsm7.cut(folded, room)
    assert folded.startswith(kept)
    assert (gsm7.septets(kept) or 0) <= room
    if kept != folded:
        assert (gsm7.septets(folded[: len(kept) + 1]) or 0) > room


def test_the_edges() -> None:
    assert gsm7.segments("") == 1
    assert gsm7.segments("a" * 160) == 1
    assert gsm7.segments("a" * 161) == 2
    assert gsm7.segments("a" * 306) == 2
    assert gsm7.segments("a" * 307) == 3
    # 152 letters and a euro sign: the pair is not torn apart.
    assert gsm7.segments("a" * 152 + "€" + "a" * 152) == 3
    assert gsm7.segments("ê" * 70) == 1
    assert gsm7.segments("ê" * 71) == 2
    assert gsm7.segments("😀" * 35) == 1
    assert gsm7.segments("😀" * 36) == 2


def test_french_folds_to_what_phones_show() -> None:
    assert (
        gsm7.fold("12\u202f500\u00a0FC – l’été, sœur «Bénédicte» № 5…")
        == '12 500 FC - l\'été, soeur "Bénédicte" No 5...'
    )
    assert gsm7.ascii_only("Électricité à Ñ") == "Electricite a N"
    assert gsm7.septets("ê") is None
