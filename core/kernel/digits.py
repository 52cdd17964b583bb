"""What customers type: digits only, with a Damm check digit, read back grouped.

Damm's scheme finds every single wrong digit and every swap of neighbours. Source: H. M. Damm, "Total anti-symmetrische
Quasigruppen", Marburg 2004; the table is the totally anti-symmetric quasigroup of order 10 given there.
"""

from __future__ import annotations

_TABLE = (
    (0, 3, 1, 7, 5, 9, 8, 6, 4, 2),
    (7, 0, 9, 2, 1, 5, 4, 8, 6, 3),
    (4, 2, 0, 6, 8, 7, 1, 3, 5, 9),
    (1, 7, 5, 0, 9, 8, 3, 4, 2, 6),
    (6, 1, 2, 3, 0, 4, 5, 9, 7, 8),
    (3, 6, 7, 4, 2, 0, 9, 5, 8, 1),
    (5, 8, 6, 9, 7, 2, 0, 1, 3, 4),
    (8, 9, 4, 5, 3, 6, 2, 0, 1, 7),
    (9, 4, 3, 8, 6, 1, 7, 2, 0, 5),
    (2, 5, 8, 1, 4, 3, 6, 7, 9, 0),
)

# What keypads, scanners and people make of a digit.
_LOOKALIKES = str.maketrans("OoIl", "0011", " -./\u00a0\u202f")


def check_digit(digits: str) -> str:
    """The digit to append to `digits` (ASCII digits only; ValueError otherwise)."""
    interim = 0
    for c in digits:
        if c not in "0123456789":
            raise ValueError(f"not a digit: {c!r}")
        interim = _TABLE[interim][int(c)]
    return str(interim)


def with_check(digits: str) -> str:
    return digits + check_digit(digits)


def is_valid(number: str) -> bool:
    """Whether the last digit of `number` is the check digit of those before it. Never raises."""
    if len(number) < 2 or any(c not in "0123456789" for c in number):
        return False
    return check_digit(number) == "0"


def normalise(typed: str) -> str:
    """What somebody typed, as plain ASCII digits where it can be read so: blanks and dashes dropped, O as 0, other
    alphabets' digits folded. Characters that are no digits stay, so that `is_valid` refuses them."""
    plain = typed.strip().translate(_LOOKALIKES)
    return "".join(str(int(c)) if c.isdecimal() else c for c in plain)


def grouped(number: str) -> str:
    """Read back in threes, the way people say it: `123 456 789 0`."""
    return " ".join(number[i : i + 3] for i in range(0, len(number), 3))


ACCOUNT_LENGTH = 10


def is_account_number(number: str) -> bool:
    """Nine digits and their check digit."""
    return len(number) == ACCOUNT_LENGTH and is_valid(number)
