"""What one line of a report means beside what our books say. Pure: facts in, a verdict out.

Order: the operator's transaction id; our own id; then amount, currency, the payer's last digits and half an hour, the
last only as a proposal. Source: facts on mobile money, section 9.7.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from core.i18n import N_
from core.kernel.digits import is_account_number, normalise
from core.kernel.money import Money
from core.payments.answers import LineKind

# How far two clocks and a slow customer may lie apart.
NEAR = timedelta(minutes=30)
# Hours, in UTC, at which a day begins somewhere between Accra and Nairobi: some reports have days only.
_MIDNIGHTS = (21, 22, 23, 0)
_DAY = timedelta(days=1)
# So long after it was made, money may still be the answer to a request.
REQUEST_LIVES = timedelta(hours=72)
# What money is booked under when its line has no number: this and the line's id. No number of the operator's.
OWN_NUMBER = "statement:"
# Cells that two rows must share at least before they can be the same row of a table.
SHARED_CELLS = 3
# New money that is more than this much of a report, and at least so many lines, is looked at by a person first: then
# it is rather the wrong file, or another name for money that we have.
HOLD_SHARE, HOLD_FROM = 0.05, 10
# Fewer digits of a masked number prove nothing.
TAIL_DIGITS = 3
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_BARE_UUID = re.compile(r"[0-9a-fA-F]{32}")
_OWN_REF = re.compile(r"E[0-9A-HJKMNP-TV-Z]{19}")

# Why a line differs. Shown to the clerk, translated there.
AMOUNT = N_("The amounts differ.")
CURRENCY = N_("The currencies differ.")
TWICE = N_("Another line already shows this payment.")
OTHER_NUMBER = N_("We have this payment under another transaction number.")
PERHAPS = N_("This may be a payment or request that we have already: look at the proposals.")
HELD = N_("Much of this report is new to us: look at it before it is booked.")
NOTHING_BOOKED = N_("The money could not be booked: look at the request it belongs to.")
NOT_CONFIGURED = N_("This wallet is not configured: its request cannot be settled.")
NO_ORIGINAL = N_("The payment that is taken back is not known.")
PARTIAL = N_("Only a part of the payment was taken back.")
REVERSED_ALREADY = N_("This payment was taken back already.")
NO_REFUND = N_("We made no such refund.")
REFUND_OPEN = N_("The operator shows this refund; in our books it is not finished yet.")
FEE_ABOVE = N_("The fee is not below the amount.")
# The reason stands in the line's `raw` under "refused".
REFUSED = N_("The books refuse it.")


@dataclass(frozen=True, slots=True)
class LineFacts:
    """What of a line matters for the verdict."""

    kind: LineKind
    amount: Money
    at: datetime
    provider_txn_id: str | None = None
    own_ids: tuple[str, ...] = ()
    payer: str | None = None
    reference: str | None = None
    raw: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Twin:
    """An earlier line of another report over the same money at about the same time, and what it was taken for."""

    line: LineFacts
    payment_id: str | None = None
    attempt_id: str | None = None


@dataclass(frozen=True, slots=True)
class OurPayment:
    """A payment of the line's wallet. `shown`: another line has it already; `same_report`: a line of this report."""

    id: str
    amount: Money
    at: datetime
    provider_txn_id: str | None = None
    attempt_id: str | None = None
    contract_id: int | None = None
    payer: str | None = None
    shown: bool = False
    same_report: bool = False
    reversed: bool = False


@dataclass(frozen=True, slots=True)
class OurAttempt:
    """A request of the line's wallet. `doubtful`: nobody knows yet whether it brought money."""

    id: str
    amount: Money
    at: datetime
    payer: str | None
    contract_id: int | None
    doubtful: bool


@dataclass(frozen=True, slots=True)
class Known:
    """What was found for a payment line.

    `own_payment`: that of the attempt named by one of the line's own ids. `other_txn_shown`: the transaction number we
    have for it stands in a line of its own. `account_contract`: the contract whose account number the reference is.
    `several`: more than one request fits the ids. `twins`: lines of other reports that came before and may be this one.
    """

    by_txn: OurPayment | None = None
    own_attempt: OurAttempt | None = None
    own_payment: OurPayment | None = None
    other_txn_shown: bool = False
    near_payments: Sequence[OurPayment] = ()
    near_attempts: Sequence[OurAttempt] = ()
    account_contract: int | None = None
    several: bool = False
    twins: Sequence[Twin] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """It is this payment. `adopt`: the payment had no transaction number; the line's is its own."""

    payment_id: str
    adopt: bool = False


@dataclass(frozen=True, slots=True)
class Settle:
    """It is this attempt's money, and we had not heard of it."""

    attempt_id: str


@dataclass(frozen=True, slots=True)
class Book:
    """Nobody here knows of it: new money."""


@dataclass(frozen=True, slots=True)
class Differs:
    """A person decides. `payment_id`: what it differs from; None where it is nothing of ours for sure."""

    why: str
    payment_id: str | None = None
    attempt_id: str | None = None


Verdict = Match | Settle | Book | Differs


def judge_payment(line: LineFacts, known: Known) -> Verdict:
    """A line that says money came."""
    if known.by_txn is not None:
        return _beside(line, known.by_txn)
    if known.several:
        return Differs(PERHAPS)
    if known.own_attempt is None:
        again = _again(line, known)
        return again or (Differs(PERHAPS) if _doubt(line, known) else Book())
    if known.own_payment is not None:
        verdict = _of_attempt(line, known.own_attempt, known.own_payment, known.other_txn_shown)
        if not isinstance(verdict, Settle):
            return verdict
    return _again(line, known) or Settle(known.own_attempt.id)


def _again(line: LineFacts, known: Known) -> Differs | None:
    """Whether another report brought this very line before, under another key, and its money was booked then: new
    columns or a better mapping make a new key."""
    for twin in known.twins:
        if same_line(line, twin.line):
            return Differs(TWICE, twin.payment_id, twin.attempt_id)
    for payment in near_payments(line, known.near_payments):
        if known.own_attempt is not None and payment.attempt_id is None and _is_made_up(payment.provider_txn_id):
            return Differs(PERHAPS, None, known.own_attempt.id)
    return None


def same_line(line: LineFacts, other: LineFacts) -> bool:
    """Whether two lines of different reports are one. Two numbers decide; without them the same row, or the same money
    at about the same time under the same reference."""
    if line.amount != other.amount:
        return False
    if _same_row(line.raw, other.raw):
        return True
    if has_number(line.provider_txn_id) and has_number(other.provider_txn_id):
        return line.provider_txn_id == other.provider_txn_id
    if not about(line.at, other.at):
        return False
    if line.own_ids and other.own_ids:
        return not set(line.own_ids).isdisjoint(other.own_ids)
    if _typed(line.reference) != _typed(other.reference):
        return False
    return bool(_typed(line.reference)) or same_payer(line.payer, other.payer) is not False


def _same_row(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether these are the cells of one row, exported with more or fewer columns."""
    few, many = sorted((one, other), key=len)
    return len(few) >= SHARED_CELLS and few.items() <= many.items()


def _typed(reference: str | None) -> str:
    return "".join((reference or "").split()).casefold()


def about(one: datetime, other: datetime) -> bool:
    """Whether two times may be of one moment: half an hour apart, or within the day that is all one of them says."""
    if abs(one - other) <= NEAR:
        return True
    day, moment = sorted((one, other))
    return is_day_only(day) and moment - day <= _DAY + NEAR


def is_day_only(at: datetime) -> bool:
    """Whether this is the beginning of a day: what a report without hours is read as."""
    moment = at.astimezone(UTC)
    return moment.hour in _MIDNIGHTS and (moment.minute, moment.second, moment.microsecond) == (0, 0, 0)


def span(at: datetime) -> tuple[datetime, datetime]:
    """The first and the last moment of what may be `at`."""
    return at - NEAR, at + NEAR + (_DAY if is_day_only(at) else timedelta(0))


def day_starts(at: datetime) -> list[datetime]:
    """What a report with days only may say instead of `at`."""
    moment = at.astimezone(UTC)
    starts = [moment.replace(hour=hour, minute=0, second=0, microsecond=0) for hour in _MIDNIGHTS]
    return [start if start <= moment else start - _DAY for start in starts]


def has_number(txn: str | None) -> bool:
    """Whether this is a number of the operator's."""
    return txn is not None and not txn.startswith(OWN_NUMBER)


def _is_made_up(txn: str | None) -> bool:
    return txn is not None and txn.startswith(OWN_NUMBER)


def _beside(line: LineFacts, ours: OurPayment) -> Verdict:
    if ours.shown:
        return Differs(TWICE, ours.id, ours.attempt_id)
    if line.amount.currency != ours.amount.currency:
        return Differs(CURRENCY, ours.id, ours.attempt_id)
    if line.amount.minor != ours.amount.minor:
        return Differs(AMOUNT, ours.id, ours.attempt_id)
    adopt = ours.provider_txn_id is None and line.provider_txn_id is not None
    return Match(ours.id, adopt=adopt)


def _of_attempt(line: LineFacts, attempt: OurAttempt, ours: OurPayment, other_txn_shown: bool) -> Verdict:
    """Our own id found a payment. Under another number it is a second payment only when the first number has a line of
    its own; else the operator may simply call the same money by two names, and booking it again would be worse."""
    if line.provider_txn_id is None or ours.provider_txn_id is None:
        return _beside(line, ours)
    return Settle(attempt.id) if other_txn_shown else Differs(OTHER_NUMBER, ours.id, attempt.id)


def _doubt(line: LineFacts, known: Known) -> bool:
    """Whether booking this line could credit money twice.

    A reference that is somebody's account clears everything that was for other accounts, and requests that surely
    failed.
    """
    account = known.account_contract
    for payment in near_payments(line, known.near_payments):
        if account is None or payment.contract_id in (None, account):
            return True
    for attempt in near_attempts(line, known.near_attempts):
        if account is None or (attempt.doubtful and attempt.contract_id in (None, account)):
            return True
    return False


def near_payments(line: LineFacts, payments: Sequence[OurPayment]) -> list[OurPayment]:
    """Payments that may be this line: same money, about the same time, a payer that fits.

    One that no line shows may be it under any number: operators have several for one money. One that another report
    shows may be it where either side has no number; two lines of one report are two.
    """
    return [
        p
        for p in payments
        if p.amount == line.amount
        and about(p.at, line.at)
        and same_payer(line.payer, p.payer) is not False
        and (not p.shown or _nameless(line, p))
    ]


def _nameless(line: LineFacts, payment: OurPayment) -> bool:
    named = has_number(line.provider_txn_id) and has_number(payment.provider_txn_id)
    return not payment.same_report and not named


def is_too_much(booked: int, lines: int) -> bool:
    """Whether a person must look before the new money among so many payment lines of a report is booked."""
    return booked >= HOLD_FROM and booked > lines * HOLD_SHARE


def near_attempts(line: LineFacts, attempts: Sequence[OurAttempt]) -> list[OurAttempt]:
    """Requests that may be this line: the payer must be seen to fit, for failed requests are many."""
    return [
        a
        for a in attempts
        if a.amount == line.amount and about(a.at, line.at) and same_payer(line.payer, a.payer) is True
    ]


def same_payer(one: str | None, other: str | None) -> bool | None:
    """Whether two payers end in the same digits; None where one of them cannot be read (missing, a digest)."""
    tails = (payer_tail(one), payer_tail(other))
    if not all(tails):
        return None
    short, long = sorted((t for t in tails if t), key=len)
    return long.endswith(short)


def payer_tail(payer: str | None) -> str | None:
    """The digits at the end of a number as it is shown: all of it, or what a mask leaves; at most nine.

    A text with letters is searched for the longest number in it ("254708***149 - JOHN"): a digest has none that long
    without a letter, and is refused by its own length.
    """
    if not payer:
        return None
    if len(payer) >= 32 and re.fullmatch(r"[0-9a-fA-F]+", payer):
        return None
    numbers = re.findall(r"[0-9][0-9 *xX.•-]*[0-9]", payer) or re.findall(r"[0-9]+", payer)
    if not numbers:
        return None
    written = max(numbers, key=len)
    last = re.split(r"[*xX.•]+", written)[-1]
    digits = re.sub(r"\D", "", last)[-9:]
    return digits if len(digits) >= TAIL_DIGITS else None


def own_ids_of(line: LineFacts) -> tuple[str, ...]:
    """What may be an id of ours: the columns for it, and a reference that looks like one."""
    ids = []
    for text in line.own_ids:
        ids.append(text)
        if _UUID.fullmatch(text):
            ids.append(text.lower())
        elif _BARE_UUID.fullmatch(text):
            ids.append(str(UUID(text)))
    if line.reference and (_UUID.fullmatch(line.reference) or _OWN_REF.fullmatch(line.reference)):
        ids.append(line.reference)
    return tuple(dict.fromkeys(ids))


def account_in(reference: str | None) -> str | None:
    """The account number that the reference is, its check digit right; None otherwise."""
    if not reference:
        return None
    plain = normalise(reference)
    return plain if is_account_number(plain) else None


@dataclass(frozen=True, slots=True)
class Reverse:
    """The operator took this payment back: post it."""

    payment_id: str


def judge_reversal(line: LineFacts, original: OurPayment | None, *, shown_before: bool) -> Match | Reverse | Differs:
    """A line that takes a payment back. `shown_before`: another line already took it back."""
    if original is None:
        return Differs(NO_ORIGINAL)
    if shown_before:
        return Differs(REVERSED_ALREADY, original.id, original.attempt_id)
    if line.amount.currency != original.amount.currency:
        return Differs(CURRENCY, original.id, original.attempt_id)
    if line.amount.minor != original.amount.minor:
        why = PARTIAL if line.amount.minor < original.amount.minor else AMOUNT
        return Differs(why, original.id, original.attempt_id)
    # Taken back already by another door (a person, a callback): the line only confirms it.
    return Match(original.id) if original.reversed else Reverse(original.id)


@dataclass(frozen=True, slots=True)
class OurRefund:
    id: str
    payment_id: str
    amount: Money
    paid: bool


def judge_refund(line: LineFacts, refund: OurRefund | None) -> Match | Differs:
    """A line that gives money back, beside a refund of ours that no other line shows."""
    if refund is None:
        return Differs(NO_REFUND)
    if line.amount != refund.amount:
        same_currency = line.amount.currency == refund.amount.currency
        return Differs(AMOUNT if same_currency else CURRENCY, refund.payment_id)
    return Match(refund.payment_id) if refund.paid else Differs(REFUND_OPEN, refund.payment_id)
