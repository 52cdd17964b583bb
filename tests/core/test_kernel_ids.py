"""Ids made before anybody is called: their shapes are promised to operators."""

from __future__ import annotations

import re
import uuid

from core.kernel import ids
from core.kernel.digits import is_account_number


def test_an_attempt_is_a_random_uuid() -> None:
    made = ids.new_uuid()
    assert uuid.UUID(made).version == 4
    assert str(uuid.UUID(made)) == made


def test_an_own_reference_has_no_look_alikes() -> None:
    made = {ids.own_reference() for _ in range(500)}
    assert len(made) == 500
    for reference in made:
        assert re.fullmatch(r"E[0-9A-HJKMNP-TV-Z]{19}", reference)


def test_a_verification_code_can_be_checked_on_a_keypad() -> None:
    for _ in range(200):
        assert is_account_number(ids.verification_code())


def test_tokens_are_long_and_fit_an_address() -> None:
    made = {ids.token() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", token) for token in made)
