"""Credit notes of any sizes give every levy back exactly, and no part ever more than it had."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from core.billing.credit_rules import divided


@settings(max_examples=100)
@given(
    st.dictionaries(st.sampled_from(["vat", "road", "light"]), st.integers(1, 400), max_size=3),
    st.integers(1, 900),
    st.lists(st.integers(1, 300), max_size=40),
    st.sampled_from([1, 100]),
)
def test_notes_of_any_sizes_end_at_nothing(taxes: dict[str, int], net: int, sizes: list[int], step: int) -> None:
    parts = {name: amount * step for name, amount in {**taxes, "net": net}.items()}
    left = dict(parts)
    for size in [*sizes, 10**6]:
        minor = min(size * step, sum(left.values()))
        if minor == 0:
            break
        shares = divided(minor, parts=parts, left=left, step=step)
        assert sum(shares.values()) == minor
        assert all(0 <= share <= left[name] and share % step == 0 for name, share in shares.items())
        left = {name: left[name] - share for name, share in shares.items()}
    assert set(left.values()) == {0}
