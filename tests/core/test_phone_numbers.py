"""What people type becomes one number; the prefix table agrees with the library; wire formats; masks."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import carrier

from core.phone_numbers import (
    NotCongolese,
    brand_of,
    international,
    masked,
    national,
    parse_e164,
    prefix_table,
    read_prefixes,
    trunk,
)

TYPED = ["0812345678", "812345678", "243812345678", "+243812345678", "00243812345678", "081 234 56 78",
         "+2430812345678", " 243812345678", "(081) 234-56-78", "٠٨١٢٣٤٥٦٧٨"]  # fmt: skip


@pytest.mark.parametrize("typed", TYPED)
def test_every_way_of_writing_it_is_one_number(typed: str) -> None:
    assert parse_e164(typed) == "+243812345678"


@pytest.mark.parametrize(
    "typed", ["", "+", "0", "+24392123456", "+243920000000", "0812", "0812345678 ext 5", "081ABCDEFG", "1" * 60, "\x00"]
)
def test_what_is_no_number_in_use_is_refused(typed: str) -> None:
    assert parse_e164(typed) is None


@given(st.text(max_size=60))
def test_no_text_breaks_it(typed: str) -> None:
    number = parse_e164(typed)
    assert number is None or number.startswith("+")


def test_wire_formats() -> None:
    assert international("+243812345678") == "243812345678"
    assert national("+243812345678") == "812345678"
    assert trunk("+243812345678") == "0812345678"
    for stranger in ("+254712345678", "+2438812345", "812345678"):
        with pytest.raises(NotCongolese) as error:
            national(stranger)
        assert stranger not in str(error.value)


def test_masks_leave_the_prefix_and_the_last_four() -> None:
    assert masked("+243810000001") == "081***0001"
    assert masked("+254712345678") == "+254***5678"
    assert masked("12345") == "***"


def test_our_prefix_table_agrees_with_the_library() -> None:
    """A difference is no bug by itself: somebody decides which is right, and changes the table or this test."""
    table = prefix_table()
    for prefix in range(80, 100):
        number = phonenumbers.parse(f"+243{prefix}1234567")
        known = carrier.name_for_number(number, "en") if phonenumbers.is_valid_number(number) else ""
        row = table.get(str(prefix))
        assert (row.operator if row else "") == known, prefix


@pytest.mark.parametrize(
    ("phone", "brand"),
    [("+243810000001", "mpesa"), ("+243970000001", "airtel"), ("+243890000001", "orange"), ("+243900000001", None),
     ("+243870000001", None), ("+254712345678", None)],
)  # fmt: skip
def test_the_prefix_proposes_a_wallet(phone: str, brand: str | None) -> None:
    assert brand_of(phone) == brand


def test_a_table_of_ones_own_is_checked() -> None:
    own = read_prefixes("prefix,operator,brand\n81,Somebody,orange\n")
    assert brand_of("+243810000001", own) == "orange"
    for bad in ("8,X,mpesa", "81,X,mtn", "81,X,mpesa\n81,Y,mpesa", "8a,X,"):
        with pytest.raises(ValueError, match="prefix"):
            read_prefixes(f"prefix,operator,brand\n{bad}\n")
