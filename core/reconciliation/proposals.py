"""Where money in suspense may belong: what its payer may have meant, and how sure that is. Pure.

A typed account number is read again: look-alikes and blanks, one wrong digit, two swapped, one missing, one too many.
The check digit keeps few of them, and only accounts that exist are proposed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.i18n import N_
from core.kernel.digits import ACCOUNT_LENGTH, is_account_number, normalise
from core.reconciliation.model import Proposal

EXACT = N_("The reference is this account number.")
LOOKALIKE = N_("The reference is this account number, with letters or signs in place of digits.")
WITHIN = N_("The account number stands within the reference.")
SWAPPED = N_("Two neighbouring digits are swapped; the check digit fits then.")
ONE_WRONG = N_("One digit is wrong; the check digit fits then.")
ONE_MISSING = N_("One digit is missing; the check digit fits then.")
ONE_TOO_MANY = N_("One digit is too many; the check digit fits then.")
INVOICE = N_("The reference is an invoice number of this contract.")
CUSTOMER = N_("The reference is the customer's number.")
PHONE_TYPED = N_("The reference is a phone number of this customer.")
PHONE = N_("The payer's phone belongs to this customer.")
PAID_BEFORE = N_("The same payer has paid for this contract before.")
ASKED = N_("The request that brought the money was for this contract.")

SCORES = {
    EXACT: 100,
    LOOKALIKE: 98,
    ASKED: 95,
    WITHIN: 92,
    INVOICE: 90,
    SWAPPED: 75,
    PHONE_TYPED: 72,
    PHONE: 70,
    ONE_WRONG: 60,
    PAID_BEFORE: 58,
    ONE_MISSING: 50,
    ONE_TOO_MANY: 50,
    CUSTOMER: 45,
}
WHYS = tuple(SCORES)
# Two reasons that point at one contract make it surer.
SECOND_REASON = 10
SHOWN = 8

# What a hand or a pen makes of a digit, beyond what `normalise` mends.
_LETTERS = str.maketrans("oOQDiIlLzZsSbBgG", "0000111122558866")
_SIGNS = re.compile(r"[\s\-./#:_,]+")


@dataclass(frozen=True, slots=True)
class Reading:
    """An account number that somebody may have meant."""

    account: str
    why: str


def readings(reference: str | None) -> tuple[Reading, ...]:
    """All account numbers that `reference` may mean, the surest first, each once. Their check digits fit."""
    if not reference:
        return ()
    found: dict[str, str] = {}

    def add(numbers: Iterable[str], why: str) -> None:
        for number in numbers:
            if is_account_number(number):
                found.setdefault(number, why)

    text = reference.strip()
    add([text], EXACT)
    plain = _SIGNS.sub("", normalise(text)).translate(_LETTERS)
    add([plain], LOOKALIKE)
    # Words around the number ("FACT 1234567890") are cut off, not read as digits.
    runs = re.findall(r"[0-9]+", _SIGNS.sub("", text))
    add((run[i : i + ACCOUNT_LENGTH] for run in runs for i in range(len(run) - ACCOUNT_LENGTH + 1)), WITHIN)
    for digits in dict.fromkeys([plain, *runs]):
        if digits.isascii() and digits.isdigit():
            add(_swapped(digits), SWAPPED)
            add(_one_wrong(digits), ONE_WRONG)
            add(_one_missing(digits), ONE_MISSING)
            add(_one_too_many(digits), ONE_TOO_MANY)
    return tuple(Reading(account, why) for account, why in sorted(found.items(), key=lambda f: -SCORES[f[1]]))


def _swapped(digits: str) -> list[str]:
    if len(digits) != ACCOUNT_LENGTH:
        return []
    return [digits[:i] + digits[i + 1] + digits[i] + digits[i + 2 :] for i in range(len(digits) - 1)]


def _one_wrong(digits: str) -> list[str]:
    if len(digits) != ACCOUNT_LENGTH:
        return []
    return [digits[:i] + d + digits[i + 1 :] for i in range(len(digits)) for d in "0123456789"]


def _one_missing(digits: str) -> list[str]:
    if len(digits) != ACCOUNT_LENGTH - 1:
        return []
    return [digits[:i] + d + digits[i:] for i in range(len(digits) + 1) for d in "0123456789"]


def _one_too_many(digits: str) -> list[str]:
    if len(digits) != ACCOUNT_LENGTH + 1:
        return []
    return [digits[:i] + digits[i + 1 :] for i in range(len(digits))]


def customer_number(reference: str | None) -> int | None:
    """The customer's number that the reference may be: a few digits, too short for an account."""
    plain = _SIGNS.sub("", reference or "")
    return int(plain) if re.fullmatch(r"[0-9]{1,8}", plain) else None


@dataclass(frozen=True, slots=True)
class Lead:
    """One reason for one contract that exists."""

    contract_id: int
    account_number: str
    customer: str
    why: str
    fits: bool


def ranked(leads: Sequence[Lead]) -> tuple[Proposal, ...]:
    """One proposal a contract, the likeliest first; contracts that cannot take this money come last."""
    by_contract: dict[int, list[Lead]] = {}
    for lead in leads:
        by_contract.setdefault(lead.contract_id, []).append(lead)
    proposals = []
    for contract_id, reasons in by_contract.items():
        best = max(reasons, key=lambda r: SCORES[r.why])
        more = len({r.why for r in reasons}) - 1
        score = min(100, SCORES[best.why] + SECOND_REASON * min(more, 2))
        proposals.append(Proposal(contract_id, best.account_number, best.customer, best.why, score, best.fits))
    proposals.sort(key=lambda p: (not p.fits, -p.score, p.account_number))
    return tuple(proposals[:SHOWN])
