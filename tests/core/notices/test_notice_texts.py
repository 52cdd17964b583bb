"""Every text in every language: filled, inside GSM-7, no longer than promised."""

from __future__ import annotations

from typing import get_args

import pytest

from core.i18n import LANGUAGES
from core.kernel import gsm7
from core.notices.staging import render
from core.notices.texts import FAILURE_REASONS, KINDS, TEXTS, UnknownKind, pick
from core.payments.ports import FailureReason
from locales.build import compile_all

compile_all()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("key", sorted(TEXTS))
def test_a_text_fits_with_its_worst_values(key: str, language: str) -> None:
    text = TEXTS[key]
    assert set(text.example) == text.blanks
    body = render(text, language, text.example)
    assert "{" not in body
    assert "?" not in body, "a character was lost in folding"
    assert gsm7.is_gsm7(body)
    assert gsm7.segments(body) <= text.segments_max
    for value in text.example.values():
        assert value in body


@pytest.mark.parametrize("key", sorted(TEXTS))
def test_no_language_falls_back(key: str) -> None:
    text = TEXTS[key]
    said = {language: render(text, language, text.example) for language in LANGUAGES}
    assert len(set(said.values())) == len(LANGUAGES)


def test_promises() -> None:
    for name in ("payment.receipt", "payment.receipt_payer", "dunning.reminder", "dunning.warning"):
        for text in KINDS[name].all_texts():
            assert text.segments_max == 1
    assert all("verification" in text.blanks for text in KINDS["payment.receipt"].texts)
    assert all("cut_date" in text.blanks for text in KINDS["dunning.warning"].texts)
    assert all("code" in text.blanks for text in KINDS["dunning.announcement"].texts)


def test_a_receipt_says_what_remains_or_what_is_left_over() -> None:
    common = {"amount": "1 FC", "account": "1", "receipt": "R", "verification": "2"}
    assert pick("payment.receipt", {**common, "due": "5 FC"}).key == "payment.receipt.due"
    assert pick("payment.receipt", {**common, "credit": "5 FC", "due": ""}).key == "payment.receipt.credit"
    assert pick("payment.receipt", common).key == "payment.receipt.clear"


def test_every_failure_has_a_sentence() -> None:
    assert frozenset(get_args(FailureReason)) == FAILURE_REASONS
    common = {"amount": "1 FC", "account": "1", "code": "*123#", "brand": "M-Pesa"}
    for reason in FAILURE_REASONS:
        assert "{reason}" not in pick("payment.failed", {**common, "reason": reason}).body
    assert pick("payment.failed", {**common, "reason": "no_funds"}).key == "payment.failed.no_funds"
    assert pick("payment.failed", {**common, "reason": "busy", "brand": ""}).key == "payment.failed"
    assert pick("payment.failed", {**common, "reason": "the moon"}).key == "payment.failed.words"


def test_what_cannot_be_filled_is_a_bug_that_shows() -> None:
    with pytest.raises(UnknownKind):
        pick("payment.receipt", {"amount": "1 FC"})
    with pytest.raises(UnknownKind):
        pick("nothing.such", {})
