"""Secrets at rest open with the same key and for the same purpose only."""

from __future__ import annotations

import pytest

from core.sealing import SealBroken, Sealer


def test_what_was_sealed_comes_back() -> None:
    sealer = Sealer("one")
    sealed = sealer.seal(b"\x00key", purpose="meter:MW00000001")
    assert b"key" not in sealed.encode()
    assert Sealer("one").unseal(sealed, purpose="meter:MW00000001") == b"\x00key"
    assert sealer.seal(b"\x00key", purpose="meter:MW00000001") != sealed


@pytest.mark.parametrize("damage", ["", "s1.", "s1.!!!", "s2.AAAA", "s1.QUJD", "é"])
def test_rubbish_does_not_open(damage: str) -> None:
    with pytest.raises(SealBroken):
        Sealer("one").unseal(damage, purpose="meter:A")


def test_another_key_another_purpose_or_one_changed_letter_does_not_open() -> None:
    sealed = Sealer("one").seal(b"key", purpose="meter:A")
    flipped = sealed[:-6] + ("A" if sealed[-6] != "A" else "B") + sealed[-5:]
    for sealer, text, purpose in (
        (Sealer("two"), sealed, "meter:A"),
        (Sealer("one"), sealed, "meter:B"),
        (Sealer("one"), flipped, "meter:A"),
    ):
        with pytest.raises(SealBroken):
            sealer.unseal(text, purpose=purpose)


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(ValueError):
        Sealer("")
