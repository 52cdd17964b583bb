"""Words that several journeys share: accounts, people, wallets, and what an attempt is doing."""

from __future__ import annotations

from collections.abc import Mapping

from channels.ussd.menu.engine import Context
from channels.ussd.menu.screen import Line, Name, line
from core.customers.model import AttemptView, ContractView
from core.i18n import N_
from core.kernel.digits import grouped
from core.kernel.money import Money
from core.payments.model import BRAND_NAMES, Offer
from core.phone_numbers import masked, may_pay_in

_STATES: Mapping[str, str] = {
    "created": N_("the PIN request is on its way"),
    "submitting": N_("the PIN request is on its way"),
    "pending": N_("waiting for the PIN"),
}
_ASKED = N_("the operator is checking it")
_REASONS: Mapping[str, str] = {
    "no_funds": N_("not enough money"),
    "cancelled": N_("cancelled"),
    "wrong_pin": N_("wrong PIN"),
    "prompt_expired": N_("no PIN in time"),
    "unreachable": N_("phone not reached"),
    "payer_unknown": N_("no such wallet"),
    "limit_reached": N_("wallet limit reached"),
    "busy": N_("the operator was busy"),
}
_OTHER_REASON = N_("refused by the operator")


def account(contract: ContractView) -> str:
    return grouped(contract.account_number)


def short_name(name: str) -> Name:
    """`Marie K.`: enough for its owner."""
    first, *rest = [part for part in name.split() if part[0].isalnum()] or [""]
    return Name(f"{first} {rest[-1][0]}." if rest else first)


def masked_name(name: str) -> Name:
    """`J*** M***`: enough to see that the account is the right one, too little to learn whose it is."""
    return Name(" ".join(f"{part[0]}***" for part in name.split()[:2]) or "***")


def wallet(brand: str) -> str:
    return BRAND_NAMES.get(brand, brand)


def offered(ctx: Context, currency: str) -> tuple[Offer, ...]:
    """The wallets that collect in this currency, those that are down last."""
    return tuple(sorted(ctx.offers.get(currency, ()), key=lambda offer: offer.down))


def is_down(ctx: Context, currency: str, brand: str) -> bool:
    """Whether every wallet that collects for this brand is left alone at the moment."""
    return any(offer.brand == brand and offer.down for offer in offered(ctx, currency))


def proposed_brand(ctx: Context, currency: str) -> str | None:
    """The wallet to propose for the caller's own number: the last one used, else the one that goes with the number.

    None where neither collects in this currency, or the number is of a country whose wallets do not.
    """
    if not may_pay_in(ctx.phone, currency):
        return None
    brands = {offer.brand for offer in offered(ctx, currency)}
    return next((brand for brand in (ctx.snapshot.last_brand, ctx.own_brand) if brand in brands), None)


def doing(state: str | None) -> Line:
    """What an open attempt is doing, in words."""
    return line(_STATES.get(state or "", _ASKED))


def failure(reason: str | None) -> Line:
    return line(_REASONS.get(reason or "", _OTHER_REASON))


def open_attempt(ctx: Context, contract_id: int, payer_phone: str) -> AttemptView | None:
    """The attempt that would make this one a second: the same payer, the same account, not ended."""
    for attempt in ctx.snapshot.attempts:
        if attempt.is_open and attempt.contract_id == contract_id and attempt.payer_phone == payer_phone:
            return attempt
    return None


def failed_lately(ctx: Context, contract_id: int, payer_phone: str) -> AttemptView | None:
    """The same payment, failed in the last ten minutes: the snapshot holds no older ones."""
    for attempt in ctx.snapshot.attempts:
        if (
            attempt.state in ("failed", "expired")
            and attempt.contract_id == contract_id
            and attempt.payer_phone == payer_phone
        ):
            return attempt
    return None


def under_way(ctx: Context, contract: ContractView | None) -> tuple[Line, ...]:
    """The home screen's line about a payment that has not ended, if there is one."""
    for attempt in ctx.snapshot.attempts:
        if attempt.is_open and (contract is None or attempt.contract_id == contract.id):
            return (line(N_("Payment of {amount} under way."), amount=attempt.amount.text),)
    return ()


def whole_units(text: str, currency: str) -> Money | None:
    """An amount as people type it, in whole francs or dollars; None when it is none."""
    digits = text.replace(" ", "").replace(".", "")
    if not digits.isdecimal() or len(digits) > 9 or int(digits) == 0:
        return None
    return Money.units(int(digits), currency)


def masked_phone(phone: str) -> str:
    return masked(phone)
