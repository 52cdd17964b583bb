"""The agents whose screens are longest: for each state behind the PIN, all that may have come of the deed before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from channels.ussd.menu.engine import Context
from core.agents.model import AgentRole
from core.customers.model import AgencyView, Snapshot
from core.kernel.digits import with_check
from core.payments.model import Offer

_NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
_PHONES = ("+243815550001", "+14155550123")
_ACCOUNT = with_check("888888881")
_CODE = "88888888"
# The longest amounts we accept, in minor units.
_MOST = {"CDF": 12_345_678_900, "USD": 123_456_789}
_LONGEST_WAIT_S = 86_400

Params = Mapping[str, Any]

_ANYBODY = ("not_active", "pin_must_change")
_SALE = (
    *_ANYBODY, "account_unknown", "account_closed", "currency_differs", "amount_not_whole", "below_limit",
    "above_limit", "day_limit", "sim_hold", "float_short", "sold_just_now", "same_key",
)  # fmt: skip
# What the deed before each state may be refused for.
_REFUSED: Mapping[str, tuple[str, ...]] = {
    "agent.confirm": _SALE,
    "agent.sold": _SALE,
    "agent.sales": _ANYBODY,
    "agent.proof": (*_ANYBODY, "sale_unknown", "proofs_used_up", "no_phone"),
    "agent.float": _ANYBODY,
    "agent.cash": ("not_active",),
    "agent.offered": (*_ANYBODY, "currency_differs", "amount_not_whole", "above_limit", "hand_over_open", "same_key"),
    "agent.taken_back": ("hand_over_unknown", "hand_over_ended", "hand_over_expired"),
}


def agent_contexts(
    key: str,
    service_code: str,
    conditions: tuple[Mapping[str, tuple[Offer, ...]], ...],
    agencies: tuple[AgencyView, ...],
) -> Iterator[Context]:
    """Each context in which a state of agents may be shown: without a snapshot, behind the PIN or before it."""
    for currency, most in _MOST.items():
        role = AgentRole(1, "A001", "Kiosque", currency)
        for params in _params(key, most):
            for phone in _PHONES:
                for offers in conditions if key == "agent.wallet" else conditions[:1]:
                    agent = None if key == "agent.pin" or "agent" in params else role
                    snapshot = Snapshot(phone, _NOW)
                    yield Context(
                        snapshot, service_code, params, None, agencies, offers, "airtel", agent=agent, looked_up=False
                    )


def agents_at_home(service_code: str, name: str) -> Iterator[Context]:
    """An agent who has just dialled, and one who came back behind the PIN."""
    role = AgentRole(1, "A001", name, "CDF")
    for entered in (None, role):
        caller = Snapshot(_PHONES[0], _NOW, "fr", True, agent=role, proof_failed=entered is None)
        yield Context(caller, service_code, agent=entered)


def _params(key: str, most: int) -> tuple[Params, ...]:
    order = {"account": _ACCOUNT, "minor": most}
    quote = {"name": "W*** W***", "commission": most, "left": -most, "told": True, "again": False}
    sale = {"code": _CODE, "account": _ACCOUNT, "minor": most, "commission": most, "at": "24/11", "left": 3}
    sales = [{**sale, "proof": proof} for proof in ("failed", "none", "delivered", "under_way", "failed")]
    today = {"balance": -most, "free": most, "sales": 9999, "sold": most, "gain": most, "owed": most}
    asked = {"minor": most, "brand": "airtel", "payer": "+14155550123"}

    def came_of(*dids: Params, **more: Any) -> tuple[Params, ...]:
        refusals = ({"refused": code, "minor": most, "wait": _LONGEST_WAIT_S} for code in _REFUSED.get(key, ()))
        return tuple({**more, "did": did} for did in (*dids, *refusals))

    every: Mapping[str, tuple[Params, ...]] = {
        "agent.pin": _pins(),
        "agent.new_pin": (
            {"then": "agent.sell"},
            {"then": "agent.sell", "agent": 1, "did": {"must": True, "agent": 1}},
            *({"agent": 1, "did": {"refused": code}} for code in ("pin_weak", "pin_same", "pin_differs")),
        ),
        "agent.repeat_pin": ({"agent": 1, "did": {}},),
        "agent.pin_changed": (
            {"agent": 1, "did": {"changed": True}},
            *({"agent": 1, "did": {"refused": code}} for code in _ANYBODY),
        ),
        "agent.amount": ({"account": _ACCOUNT},),
        "agent.confirm": came_of(quote, **order),
        "agent.sold": came_of({"told": True, "code": _CODE}, {"told": False, "code": _CODE}, **order),
        "agent.sales": came_of({"sales": sales}, {"sales": []}),
        "agent.sale": tuple({"sale": one} for one in (*sales, {**sales[0], "left": 0})),
        "agent.proof": came_of({"phone": "081***0001", "left": 3}),
        "agent.float": came_of(today),
        "agent.cash": came_of({"open": None}, {"open": {"code": "888 888 88", "minor": most}}),
        "agent.hand_over": ({"minor": most},),
        "agent.offered": came_of({"code": "888 888 88"}, minor=most),
        "agent.taken_back": came_of({}, minor=most),
        "agent.buy_confirm": (asked, {**asked, "payer": _PHONES[0]}),
        "agent.wallet": ({"minor": most},),
        "agent.number": ({"minor": most, "brand": "airtel"},),
        "agent.buy_refused": _not_bought(asked),
    }
    return every.get(key, ({},))


def _pins() -> tuple[Params, ...]:
    opens = ("agent.sell", "agent.float", "agent.sales", "agent.cash", "agent.buy", "agent.new_pin")
    wrong = tuple({"refused": "pin_wrong", "tries": 4, "wait": wait} for wait in (0, 15, 300))
    wrong = (*wrong, {"refused": "pin_too_soon", "tries": 4, "wait": 300})
    locked = {"refused": "pin_locked", "wait": _LONGEST_WAIT_S}
    tried = tuple({"then": "agent.sell", "did": did} for did in (*wrong, locked))
    return (*({"then": then} for then in opens), *tried)


def _not_bought(asked: Params) -> tuple[Params, ...]:
    whys = ("already_open", "float_closed", "nothing_to_pay", "amount_out_of_range", "no_wallet", "wallet_down")
    states = ("created", "pending", "unknown", None)
    return tuple({**asked, "why": why, "state": state} for why in whys for state in states)
