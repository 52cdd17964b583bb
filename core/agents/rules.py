"""What an agent may sell, what it earns, and what a PIN must be. Pure: no database, no clock."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from core.agents.errors import AgentRefused
from core.agents.model import CommissionRule, Limits
from core.kernel.digits import ACCOUNT_LENGTH, grouped, with_check
from core.kernel.money import Money, zero

# Commission ------------------------------------------------------------------------------------------------------

_BASIS = 10_000
# What a new database pays until finance writes another rule: 2 %, held between these, in minor units. Our own first
# guess, no tariff of anybody's.
FIRST_BASIS_POINTS = 200
# No least: 50 FC on the smallest sale were half of it, and a sale a day to each account would have earned it again.
FIRST_RULES = {"CDF": (0, 5_000_00), "KES": (0, 250_00), "USD": (0, 2_00)}


def rule_in_force(rules: Sequence[CommissionRule], currency: str, at: datetime) -> CommissionRule | None:
    """The rule that counts at `at`, of one agent's own rules and the general ones: own before general, newest first."""
    running = [
        rule
        for rule in rules
        if rule.currency == currency and rule.valid_from <= at and (rule.valid_until is None or at < rule.valid_until)
    ]
    return max(running, key=lambda rule: (rule.agent_id is not None, rule.version), default=None)


def commission_for(rules: Sequence[CommissionRule], amount: Money, at: datetime) -> Money:
    """What an amount earns: basis points of it, rounded half up to the minor unit, then held between the rule's bounds.

    Never more than the amount itself, nothing for nothing, nothing without a rule. Grows with the amount, never falls.
    """
    rule = rule_in_force(rules, amount.currency, at)
    if rule is None or amount.minor <= 0:
        return zero(amount.currency)
    share = (amount.minor * rule.basis_points + _BASIS // 2) // _BASIS
    earned = max(share, rule.min_minor)
    if rule.max_minor is not None:
        earned = min(earned, rule.max_minor)
    return Money(min(earned, amount.minor), amount.currency)


def commission_now(
    rules: Sequence[CommissionRule], amount: Money, at: datetime, *, sold_before: Money, given_before: Money
) -> Money:
    """What this sale earns, where the account got `sold_before` from the same agent today, for `given_before`.

    Commission is counted per account and day, not per piece: ten small sales earn what one large sale earns. Splitting
    deposits for their minimum is the commonest fraud of agents. Source: BCEAO on Orange Money Senegal, 2019.
    """
    whole = commission_for(rules, sold_before + amount, at)
    return Money(max(0, whole.minor - given_before.minor), amount.currency)


# Sales -----------------------------------------------------------------------------------------------------------

# Whoever has just got another SIM may not be the agent. Sensitive acts wait as operators let them: 24 to 72 h.
SIM_HOLD = timedelta(hours=24)
# The same amount for the same account again so soon is more often a slip than a wish. Real time.
SAME_SALE = timedelta(minutes=5)
PROOFS_MAX = 3
# So many of the last sales can be looked at on the phone.
LAST_SALES = 5
HAND_OVER_LIVES = timedelta(hours=24)

# The smallest sale, and what an agent may sell where the office set nothing. Minor units.
_LEAST = {"CDF": 100_00, "USD": 50, "KES": 10_00}
_DEFAULTS = {
    "CDF": (500_000_00, 3_000_000_00, 200_000_00),
    "USD": (200_00, 1_200_00, 80_00),
    "KES": (25_000_00, 150_000_00, 10_000_00),
}
# Nobody carries more to a counter at once; a slip of the thumb says so. Minor units.
_MOST_CASH = {"CDF": 20_000_000_00, "USD": 8_000_00, "KES": 1_000_000_00}


def default_limits(currency: str) -> Limits:
    sale, day, large = _DEFAULTS[currency]
    return Limits(Money(sale, currency), Money(day, currency), Money(large, currency))


@dataclass(frozen=True, slots=True)
class SaleFacts:
    """All that decides whether a sale may be. `contract_currency` None: no such account.

    `sold_since_sim`: what was sold since another SIM came into the agent's phone, however many sales it was.
    `same_at`: when the same amount was last sold to the same account by this agent (real time).
    """

    active: bool
    must_change_pin: bool
    limits: Limits
    balance: Money
    credit_limit: Money
    sold_today: Money
    sim_changed_at: datetime | None
    sold_since_sim: Money
    contract_currency: str | None
    contract_active: bool
    same_at: datetime | None

    @property
    def available(self) -> Money:
        """What the float still allows: never below nothing, even where a limit was set by other hands."""
        return Money(max(0, self.balance.minor + self.credit_limit.minor), self.balance.currency)


def check_agent(*, active: bool, must_change_pin: bool) -> None:
    """Raises AgentRefused where the agent may do nothing at all."""
    if not active:
        raise AgentRefused("not_active")
    if must_change_pin:
        raise AgentRefused("pin_must_change")


def check_sale(facts: SaleFacts, amount: Money, *, now: datetime, real_now: datetime, again: bool) -> None:
    """Refuse what may not be sold, with the first reason that the agent can do something about.

    `now`: business time. `again`: the agent was told of the same sale a moment ago, and wants it all the same.
    Raises AgentRefused.
    """
    check_agent(active=facts.active, must_change_pin=facts.must_change_pin)
    currency = facts.balance.currency
    if facts.contract_currency is None:
        raise AgentRefused("account_unknown")
    if not facts.contract_active:
        raise AgentRefused("account_closed")
    if facts.contract_currency != currency or amount.currency != currency:
        raise AgentRefused("currency_differs")
    _check_size(facts, amount)
    _check_sim(facts, amount, now)
    if amount > facts.available:
        raise AgentRefused("float_short", amount=facts.available)
    if not again and facts.same_at is not None and real_now - facts.same_at < SAME_SALE:
        raise AgentRefused("sold_just_now", amount=amount)


def _check_sim(facts: SaleFacts, amount: Money, now: datetime) -> None:
    """With another SIM in the phone all sales together stay below a large one: many small ones are one large one."""
    if facts.sim_changed_at is None:
        return
    free_again = facts.sim_changed_at + SIM_HOLD
    held_from = Money(max(0, facts.limits.large_sale.minor - facts.sold_since_sim.minor), amount.currency)
    if now < free_again and amount >= held_from:
        left_s = math.ceil((free_again - now).total_seconds())
        raise AgentRefused("sim_hold", amount=held_from, until=free_again, wait_s=left_s)


def _check_size(facts: SaleFacts, amount: Money) -> None:
    least = Money(_LEAST[amount.currency], amount.currency)
    if amount < least:
        raise AgentRefused("below_limit", amount=least)
    if not amount.is_chargeable:
        raise AgentRefused("amount_not_whole")
    if amount > facts.limits.per_sale:
        raise AgentRefused("above_limit", amount=facts.limits.per_sale)
    left = Money(max(0, facts.limits.per_day.minor - facts.sold_today.minor), amount.currency)
    if amount > left:
        raise AgentRefused("day_limit", amount=left)


def check_cash(amount: Money, currency: str) -> None:
    """Raises AgentRefused for an amount of cash that nobody hands over."""
    if amount.currency != currency:
        raise AgentRefused("currency_differs")
    if not amount.is_chargeable:
        raise AgentRefused("amount_not_whole")
    most = Money(_MOST_CASH[currency], currency)
    if amount > most:
        raise AgentRefused("above_limit", amount=most)


def check_limits(limits: Limits, currency: str) -> None:
    """Raises AgentRefused for limits that are not whole amounts of the agent's currency, in order."""
    parts = (limits.per_sale, limits.per_day, limits.large_sale)
    if any(part.currency != currency or not part.is_chargeable for part in parts):
        raise AgentRefused("limits_invalid")
    if limits.per_sale > limits.per_day:
        raise AgentRefused("limits_invalid")


# Codes -----------------------------------------------------------------------------------------------------------

_CODE_DIGITS = 7
CODE_LENGTH = _CODE_DIGITS + 1
# Where the code goes in the END that a screen prepares before the sale exists. As long as what replaces it.
CODE_BLANK = grouped("#" * CODE_LENGTH)


def new_code(below: Callable[[int], int]) -> str:
    """A code of digits with a check digit: said over the counter, typed on a keypad, and of another length than an
    account number. `below(n)`: a random number under n, which nobody can guess."""
    assert CODE_LENGTH != ACCOUNT_LENGTH
    return with_check(f"{below(10**_CODE_DIGITS):0{_CODE_DIGITS}d}")


def with_code(end_text: str, code: str) -> str:
    """The END as it is stored: the code read back in groups where the blank stood."""
    return end_text.replace(CODE_BLANK, grouped(code))


def masked_name(name: str) -> str:
    """`J*** M***`: enough to see that the account is the right one, too little to learn whose it is."""
    return " ".join(f"{part[0]}***" for part in name.split()[:2]) or "***"


# PINs ------------------------------------------------------------------------------------------------------------

TRIES = 5
# After the first wrong PIN nothing, then longer and longer, so that guessing ends with the fifth. Real seconds.
_PAUSES_S = (0, 15, 60, 300)
_LOCK_S, _LONGEST_LOCK_S = 3600, 86_400


def pin_pause(failures: int) -> timedelta:
    """How long no further try counts, after so many wrong ones in a row: at most one a day in the end.

    10,000 PINs of four digits at that rate take 27 years.
    """
    if failures <= 0:
        return timedelta(0)
    if failures < TRIES:
        return timedelta(seconds=_PAUSES_S[failures - 1])
    return timedelta(seconds=min(_LONGEST_LOCK_S, _LOCK_S * 2 ** min(failures - TRIES, 10)))


PIN_MIN, PIN_MAX = 4, 6
# A new PIN is typed twice within this, in one session. Real time.
NEW_PIN_LIVES = timedelta(minutes=10)
_YEAR = re.compile(r"(19\d\d|20[0-2]\d)")
# Shapes on the keypad and doubles that lists of leaked PINs begin with, and that no rule below finds.
_COMMON = frozenset({"2580", "0852", "1478", "3698", "1122", "1313", "2211", "1001", "1004", "112233", "159753"})


def is_weak_pin(pin: str, phone: str = "") -> bool:
    """Whether anybody would try this PIN first: one digit, steps of one size (1234, 8642), a repeated pair, a year of
    birth, the end of the own number. Anything that is not 4 to 6 digits counts as weak."""
    if not PIN_MIN <= len(pin) <= PIN_MAX or any(c not in "0123456789" for c in pin):
        return True
    steps = {(int(b) - int(a)) % 10 for a, b in pairwise(pin)}
    repeated = any(pin == pin[:n] * (len(pin) // n) for n in (1, 2, 3) if len(pin) % n == 0 and n < len(pin))
    year = _YEAR.match(pin) or _YEAR.match(pin[-4:])
    return len(steps) == 1 or repeated or bool(year) or pin in _COMMON or phone.endswith(pin)


def new_pin(below: Callable[[int], int], phone: str) -> str:
    """A one-time PIN of six digits that is not weak."""
    while True:
        pin = f"{below(10**PIN_MAX):0{PIN_MAX}d}"
        if not is_weak_pin(pin, phone):
            return pin
