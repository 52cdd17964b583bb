"""Every text we send by SMS, declared once: whole sentences, named blanks, worst-case examples, and how it is handled.

The catalogues in `locales/` translate the bodies. One test renders each of them in each language: no blank left, inside
GSM-7 after folding, no more segments than promised here. `docs/notices.md` says why each kind is handled as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from core.i18n import N_
from core.notices.agent_texts import AGENT_KINDS
from core.notices.answers import ANSWERS
from core.notices.case_texts import CASE_KINDS
from core.notices.kinds import Kind as Kind
from core.notices.kinds import Text as Text
from core.notices.kinds import blanks_of as blanks_of
from core.notices.kinds import text_of as _text
from core.notices.links import LINKS
from core.notices.prepaid import PREPAID

# What a caller who does not know the utility's code gets. The wiring gives the real one in the session's `info`.
DEFAULT_SHORT_CODE = "*123#"


class UnknownKind(LookupError):
    """Nobody declared a notice of this kind, or none of its texts can be filled with these blanks."""


def pick(kind: str, blanks: Mapping[str, str]) -> Text:
    """The text of `kind` that fits what is known. A blank given empty counts as not given.

    `reason` may be one of our failure reasons (a text of its own) or words (put into the general text).
    Raises UnknownKind.
    """
    declared = KINDS.get(kind)
    if declared is None:
        raise UnknownKind(kind)
    given = {name for name, value in blanks.items() if value}
    by_reason = declared.by_reason.get(blanks.get("reason", ""))
    candidates = declared.texts if by_reason is None else (by_reason, *declared.texts)
    coded = blanks.get("reason", "") in FAILURE_REASONS
    for text in candidates:
        if text.blanks <= given and not (coded and "reason" in text.blanks):
            return text
    raise UnknownKind(f"{kind}: no text for the blanks {', '.join(sorted(given))}")


_FAILED = {
    "no_funds": N_(
        "Your payment of {amount} for account {account} did not go through: not enough money in {brand}. "
        "Dial {code} to try again."
    ),
    "cancelled": N_(
        "Your payment of {amount} for account {account} was cancelled on the phone. Dial {code} to try again."
    ),
    "wrong_pin": N_(
        "Your payment of {amount} for account {account} did not go through: wrong PIN. Dial {code} to try again."
    ),
    "prompt_expired": N_(
        "Your payment of {amount} for account {account} did not go through: no answer in time. "
        "Dial {code} to try again."
    ),
    "unreachable": N_(
        "Your payment of {amount} for account {account} did not go through: phone not reached. "
        "Dial {code} to try again."
    ),
    "payer_unknown": N_(
        "Your payment of {amount} for account {account} did not go through: this number has no {brand} account."
    ),
    "limit_reached": N_(
        "Your payment of {amount} for account {account} did not go through: your {brand} limit is reached."
    ),
    "busy": N_(
        "Your payment of {amount} for account {account} did not go through: {brand} is busy. "
        "Dial {code} to try again later."
    ),
    "amount_refused": N_(
        "Your payment of {amount} for account {account} did not go through: {brand} refuses this amount."
    ),
}
# Those of core.payments.ports.FailureReason; the ones without a text of their own are nothing the customer can mend.
FAILURE_REASONS = frozenset(_FAILED) | {"configuration", "not_found", "other"}

_ALL = (
    Kind(
        "payment.receipt",
        (
            # What was paid is about to become digits: a credit named here would be gone with the next SMS.
            _text(
                "payment.receipt.keypad",
                N_(
                    "Received {amount} for account {account}. The code for meter {meter} follows. "
                    "Receipt {receipt}, code {verification}. Thank you."
                ),
            ),
            _text(
                "payment.receipt.due",
                N_(
                    "Received {amount} for account {account}. Still to pay: {due}. "
                    "Receipt {receipt}, code {verification}. Thank you."
                ),
            ),
            _text(
                "payment.receipt.credit",
                N_(
                    "Received {amount} for account {account}. Paid in advance: {credit}. "
                    "Receipt {receipt}, code {verification}. Thank you."
                ),
            ),
            _text(
                "payment.receipt.clear",
                N_(
                    "Received {amount} for account {account}. Nothing left to pay. "
                    "Receipt {receipt}, code {verification}. Thank you."
                ),
            ),
        ),
        priority=1,
        quiet=False,
        ttl=timedelta(days=3),
    ),
    Kind(
        "payment.receipt_payer",
        (
            _text(
                "payment.receipt_payer",
                N_(
                    "You paid {amount} for account {account}. "
                    "Receipt {receipt}, code {verification}. Keep this message. Thank you."
                ),
            ),
        ),
        priority=1,
        quiet=False,
        ttl=timedelta(days=3),
    ),
    Kind(
        "payment.failed",
        (
            _text(
                "payment.failed.words",
                N_("Your payment of {amount} for account {account} did not go through: {reason}. Dial {code}."),
            ),
            _text(
                "payment.failed",
                N_("Your payment of {amount} for account {account} did not go through. Dial {code} to try again."),
            ),
        ),
        priority=2,
        quiet=False,
        ttl=timedelta(hours=2),
        daily_cap=20,
        over_cap="never",
        by_reason={reason: _text(f"payment.failed.{reason}", body) for reason, body in _FAILED.items()},
    ),
    Kind(
        "payment.pending_long",
        (
            _text(
                "payment.pending_long",
                N_(
                    "{brand} has not yet confirmed your payment of {amount} for account {account}. "
                    "Do not pay again: we will send you an SMS."
                ),
            ),
        ),
        priority=2,
        quiet=False,
        ttl=timedelta(minutes=30),
        daily_cap=20,
        over_cap="never",
    ),
    Kind(
        "payment.refunded",
        (
            _text(
                "payment.refunded.account",
                N_(
                    "We have sent {amount} back to your mobile money. It is from your payment {receipt} "
                    "for account {account}."
                ),
            ),
            _text(
                "payment.refunded",
                N_("We have sent {amount} back to your mobile money. It is from your payment {receipt}."),
            ),
        ),
        priority=3,
        quiet=False,
        ttl=timedelta(days=3),
    ),
    Kind(
        "supply.on",
        (_text("supply.on", N_("Account {account}: your power is back on. If your meter stays off, dial {code}.")),),
        priority=2,
        quiet=False,
        ttl=timedelta(hours=12),
        repeats=1,
    ),
    Kind(
        "supply.off",
        (
            _text(
                "supply.off",
                N_(
                    "Account {account}: your power was cut, {amount} not paid. To get it back, dial {code} and pay. "
                    "It comes back by itself."
                ),
            ),
            _text(
                "supply.off.why",
                N_("Account {account}: your power was cut. To know why and get it back, dial {code}."),
            ),
        ),
        by_reason={
            "no_credit": _text(
                "supply.off.no_credit",
                N_("Account {account}: your credit is used up, power is off. Top up, it comes back: dial {code}."),
            )
        },
        priority=3,
        quiet=False,
        ttl=timedelta(hours=24),
        repeats=1,
    ),
    Kind(
        "dunning.announcement",
        (
            _text(
                "dunning.announcement",
                N_(
                    "Account {account}: {amount} not paid. Your power is about to be cut. To keep it, dial {code} "
                    "and pay. After payment it comes back by itself."
                ),
            ),
        ),
        priority=4,
        quiet=True,
        ttl=timedelta(hours=24),
        repeats=1,
        daily_cap=6,
        owed=True,
    ),
    Kind(
        "dunning.warning",
        (
            _text(
                "dunning.warning",
                N_(
                    "Account {account}: {amount} not paid. Without payment your power will be cut from {cut_date}. "
                    "To pay, dial {code}."
                ),
            ),
        ),
        priority=4,
        quiet=True,
        ttl=timedelta(hours=48),
        repeats=1,
        daily_cap=6,
        owed=True,
    ),
    Kind(
        "dunning.reminder",
        (
            _text(
                "dunning.reminder",
                N_(
                    "Reminder: {amount} is still to be paid for account {account}. To pay, dial {code}. "
                    "If you have just paid, thank you."
                ),
            ),
        ),
        priority=5,
        quiet=True,
        ttl=timedelta(days=3),
        optional=True,
        repeats=1,
        daily_cap=6,
        owed=True,
    ),
    Kind(
        "invoice.sent",
        (
            _text(
                "invoice.sent",
                N_("Your electricity bill for {period}: {amount}. Account {account}. To pay, dial {code}."),
            ),
            _text(
                "invoice.sent.short",
                N_("Your electricity bill has come: {amount}. Account {account}. To pay, dial {code}."),
            ),
        ),
        priority=5,
        quiet=True,
        ttl=timedelta(days=5),
        optional=True,
        repeats=1,
        daily_cap=6,
        owed=True,
    ),
)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in (*_ALL, *LINKS, *ANSWERS, *AGENT_KINDS, *CASE_KINDS, *PREPAID)}
TEXTS: Mapping[str, Text] = {text.key: text for kind in KINDS.values() for text in kind.all_texts()}
