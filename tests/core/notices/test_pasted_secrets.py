"""What is covered in a text before it is kept, and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.sms.keywords import hear
from channels.sms.vocabulary import VOCABULARY
from core.kernel.digits import ACCOUNT_LENGTH, grouped, is_account_number, with_check
from core.notices.pasted import COVER, covered

ACCOUNT = with_check("204817365")
PIN = "1234"


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ("PAYER 5000 1234", "PAYER 5000 ****"),
        ("5000 1234", "5000 ****"),
        ("je paye 5000, 4321", "je paye 5000, ****"),
        ("PAYER5000 1234", "PAYER5000 ****"),
        ("PAYER 5000-1234", "PAYER 5000-****"),
        ("PAYER 5000 1 2 3 4", "PAYER 5000 ****"),
        ("PAYER 5000 \u0661\u0662\u0663\u0664", "PAYER 5000 ****"),
        ("LIPA 5000 123456", "LIPA 5000 ****"),
        ("PAYER 12 500 1234", "PAYER 12 500 ****"),
        ("PAYER 5000FC 1234", "PAYER 5000FC ****"),
        ("PAYER 25 USD 4321", "PAYER 25 USD ****"),
        ("PAYER $25 4321", "PAYER $25 ****"),
        ("PAYER 25,50 4321", "PAYER 25,50 ****"),
        ("PAYER 50 1234", "PAYER 50 ****"),
        ("PAYER 1234 5000 FC", "PAYER **** 5000 FC"),
        ("1234 payer 5000", "**** payer 5000"),
        # Nobody can tell which of them it is.
        ("PAYER 12550 1234", "PAYER **** ****"),
        (f"PAYER 5000 {grouped(ACCOUNT)} 1234", f"PAYER 5000 {grouped(ACCOUNT)} ****"),
        (f"PAYER 5000 {ACCOUNT} 1234", f"PAYER 5000 {ACCOUNT} ****"),
        ("1234", COVER),
        ("mon code est 1234", "mon code est ****"),
    ],
)
def test_a_pin_beside_an_amount_is_covered(body: str, kept: str) -> None:
    assert covered(body) == kept


@pytest.mark.parametrize(
    "body",
    [
        "PAYER 5000",
        "PAYER 12550",
        "PAYER 1 250 000",
        "PAYER 5000,50",
        f"PAYER 12550 {ACCOUNT[:5]} {ACCOUNT[5:]}",
        "Paye 5000 pour 081 234 5678",
        "+243 81 234 5678 payer 12550",
        "J'ai paye 5000 le 10/11/2026",
        "je veux payer 2 factures 12550",
        "compteur 123456 ne marche pas depuis 2025",
        "avenue 1234, plus de courant",
    ],
)
def test_other_numbers_stay(body: str) -> None:
    assert covered(body) == body


AMOUNTS = st.integers(1, 9_999_999).flatmap(
    lambda n: st.sampled_from((str(n), f"{n:,}", f"{n:,}".replace(",", " "), f"{n:,}".replace(",", "."), f"{n} FC"))
)
ACCOUNTS = st.integers(0, 10**9 - 1).map(lambda n: with_check(f"{n:09d}"))


@settings(max_examples=300, deadline=None)
@given(amount=AMOUNTS, account=ACCOUNTS, how=st.sampled_from(("{}", "{} {}", "{} compte {}")), split=st.booleans())
def test_no_order_loses_its_amount_or_its_account(amount: str, account: str, how: str, split: bool) -> None:
    body = "PAYER " + how.format(amount, grouped(account) if split else account)
    heard = hear(body, VOCABULARY)
    if heard.cents is not None and not heard.unclear:
        assert covered(body) == body


@settings(max_examples=300, deadline=None)
@given(amount=AMOUNTS, pin=st.integers(0, 9999).map(lambda n: f"{n:04d}").filter(lambda pin: not pin.endswith("00")))
def test_no_pin_after_an_amount_is_kept_and_no_order_is_made_of_what_is_left(amount: str, pin: str) -> None:
    body = covered(f"PAYER {amount} {pin}")
    # The last ten digits may be an account in groups: nine times of ten the check digit says that they are none.
    if not is_account_number(("".join(c for c in amount if c.isdigit()) + pin)[-ACCOUNT_LENGTH:]):
        assert body.split()[-1] == COVER
        assert hear(body, VOCABULARY).unclear


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_whatever_is_typed_is_covered_twice_as_once(body: str) -> None:
    assert covered(covered(body)) == covered(body)
