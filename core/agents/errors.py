"""What an agent, or the office, is told "no" to. One class with a code: screens and pages put it in words.

StateConflict
└── AgentRefused    `code` says why; `amount` and `until` fill the sentence where there is one
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args

from core.kernel.errors import StateConflict
from core.kernel.money import Money

RefusalCode = Literal[
    # Who asks.
    "not_active",  # unknown, or switched off
    "pin_must_change",  # the PIN in use is one that the office made
    "pin_weak",  # anybody would try it first
    "pin_same",  # the new PIN is the old one
    "pin_differs",  # the second typing of a new PIN is not the first, or came too late
    # The sale.
    "account_unknown",
    "account_closed",
    "currency_differs",
    "amount_not_whole",  # not in steps that can be charged
    "below_limit",  # `amount`: the least
    "above_limit",  # `amount`: the most per sale
    "day_limit",  # `amount`: what is left of today
    "sim_hold",  # `amount`: from here on it waits; `until`: so long
    "float_short",  # `amount`: what the float still allows
    "sold_just_now",  # the same sale a moment ago: ask, and come again with `again=True`
    "same_key",  # the turn's key belongs to something else
    # The proof.
    "sale_unknown",
    "proofs_used_up",
    "no_phone",  # nobody confirmed a phone for this account
    # Cash.
    "hand_over_open",  # one at a time; `amount`: of the open one
    "hand_over_unknown",
    "hand_over_ended",  # accepted by somebody else, or withdrawn
    "hand_over_expired",
    "cashier_unknown",
    # The office.
    "phone_taken",
    "code_taken",
    "agency_unknown",
    "phone_invalid",
    "limits_invalid",
    "limit_below_debt",  # `amount`: what the float is below zero
    "rule_invalid",
]
REFUSAL_CODES: frozenset[str] = frozenset(get_args(RefusalCode))


class AgentRefused(StateConflict):
    """Nothing was changed. `amount`, `until`: see the code's line above. `wait_s`: seconds from now to `until`."""

    def __init__(
        self, code: RefusalCode, *, amount: Money | None = None, until: datetime | None = None, wait_s: int = 0
    ) -> None:
        super().__init__(code)
        self.code: RefusalCode = code
        self.amount = amount
        self.until = until
        self.wait_s = wait_s
