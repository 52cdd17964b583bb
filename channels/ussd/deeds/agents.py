"""What the screens of agents have done. `docs/agents.md` says why each may come twice.

No deed writes more than once per turn's key: a sale, an offer of cash, a try of a PIN, a change of PIN and a proof keep
the key in their own transaction; taking back what is taken back and typing a new PIN for the first time change nothing
the second time. A refusal is data, with its amount and wait: the next screen puts it in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels.ussd.deeds import Asked, Deed, Done
from core.agents.errors import AgentRefused
from core.agents.model import AgentRole, AgentSession, Locked, PinRefused, Sale
from core.agents.rules import CODE_BLANK, LAST_SALES
from core.i18n import short_day
from core.kernel.clock import WEST, local_date
from core.kernel.digits import grouped
from core.kernel.money import Money
from core.services.agents import Agents


def deeds(agents: Agents) -> dict[str, Deed]:
    """By name, for the wiring."""
    do = _Deeds(agents)
    plain: dict[str, Deed] = {
        "agent.enter": do.enter,
        "agent.look": do.look,
        "agent.quote": do.quote,
        "agent.sell": do.sell,
        "agent.proof": do.proof,
        "agent.offer": do.offer,
        "agent.take_back": do.take_back,
        "agent.new_pin": do.new_pin,
        "agent.repeat_pin": do.repeat_pin,
    }
    return {name: _told(deed) for name, deed in plain.items()}


class _Deeds:
    def __init__(self, agents: Agents) -> None:
        self._agents = agents

    def enter(self, asked: Asked) -> Done:
        """Check the PIN; if it is right, the session is the agent's, and what the next screen shows is read at once."""
        tried = self._agents.enter(asked.phone, asked.pin or "", asked.turn_key)
        match tried:
            case PinRefused(tries, wait_s, too_soon):
                why = "pin_too_soon" if too_soon else "pin_wrong"
                return Done({"refused": why, "tries": tries, "wait": wait_s, "then": "agent.pin"})
            case Locked(_, wait_s):
                return Done({"refused": "pin_locked", "wait": wait_s, "then": "agent.pin"})
            case AgentSession(agent_id, code, name, currency, must_change, entry):
                if must_change:
                    # Nothing but the change is opened: the session is nobody's.
                    return Done({"must": True, "agent": agent_id, "entry": entry, "then": "agent.new_pin"})
                role = AgentRole(agent_id, code, name, currency)
                then = asked.values["then"]
                return Done({"entry": entry} if then == "agent.new_pin" else self._seen(then, agent_id), agent=role)

    def look(self, asked: Asked) -> Done:
        """What a screen shows, for somebody who has entered."""
        return Done(self._seen(asked.values["then"], asked.values["agent"]))

    def quote(self, asked: Asked) -> Done:
        values = asked.values
        quote = self._agents.quote_sale(values["agent"], values["account"], _amount(values), again=values["again"])
        return Done(
            {
                "name": quote.masked_name,
                "commission": quote.commission.minor,
                "left": quote.float_after.minor,
                "told": quote.customer_told,
                "again": values["again"],
            }
        )

    def sell(self, asked: Asked) -> Done:
        """The END is drawn before, with a blank that is as long as the code, and stored with the sale."""
        values = asked.values
        did = {"told": values["told"], "code": CODE_BLANK}
        sale = self._agents.sell(
            values["agent"],
            values["account"],
            _amount(values),
            asked.turn_key,
            asked.say(did) or "",
            again=values["again"],
        )
        return Done({**did, "code": grouped(sale.code)}, end_text=sale.end_text)

    def proof(self, asked: Asked) -> Done:
        values = asked.values
        sent = self._agents.resend_proof(values["agent"], values["code"], phone=asked.phone, turn_key=asked.turn_key)
        return Done({"phone": sent.phone, "left": sent.proofs_left})

    def offer(self, asked: Asked) -> Done:
        end = asked.say({"code": CODE_BLANK}) or ""
        offer = self._agents.offer_cash(asked.values["agent"], _amount(asked.values), asked.turn_key, end)
        return Done({"code": grouped(offer.code)}, end_text=offer.end_text)

    def take_back(self, asked: Asked) -> Done:
        self._agents.withdraw_cash(asked.values["agent"], asked.values["code"])
        return Done({})

    def new_pin(self, asked: Asked) -> Done:
        try:
            self._agents.propose_pin(asked.values["agent"], asked.pin or "", str(asked.values.get("entry", "")))
        except AgentRefused as error:
            # Another PIN helps only where it was the PIN that was refused.
            then = "agent.new_pin" if error.code in ("pin_weak", "pin_same") else "agent.pin_changed"
            return Done({**_refused(error), "then": then})
        return Done({})

    def repeat_pin(self, asked: Asked) -> Done:
        kept = self._agents.confirm_pin(
            asked.values["agent"],
            asked.pin or "",
            phone=asked.phone,
            turn_key=asked.turn_key,
            say=lambda did: asked.say(_placed(did)),
        )
        return Done(_placed(kept.did), end_text=kept.end_text)

    def _seen(self, then: str, agent_id: int) -> Mapping[str, Any]:
        """What the state `then` shows; nothing for one that begins by asking."""
        read = {"agent.float": self._float, "agent.sales": self._sales, "agent.cash": self._cash}.get(then)
        if read is None:
            return {}
        try:
            return read(agent_id)
        except AgentRefused as error:
            return _refused(error)

    def _float(self, agent_id: int) -> Mapping[str, Any]:
        seen = self._agents.float_of(agent_id, by_agent=True)
        return {
            "balance": seen.balance.minor,
            "free": seen.available.minor,
            "sales": seen.sales_today,
            "sold": seen.sold_today.minor,
            "gain": seen.commission_today.minor,
            "owed": seen.commission_unpaid.minor,
        }

    def _sales(self, agent_id: int) -> Mapping[str, Any]:
        return {"sales": [_listed(sale) for sale in self._agents.last_sales(agent_id, LAST_SALES, by_agent=True)]}

    def _cash(self, agent_id: int) -> Mapping[str, Any]:
        waiting = self._agents.open_cash(agent_id)
        return {"open": {"code": grouped(waiting.code), "minor": waiting.amount.minor} if waiting else None}


def _told(deed: Deed) -> Deed:
    """The same deed; a refusal is what came of it."""

    def run(asked: Asked) -> Done:
        try:
            return deed(asked)
        except AgentRefused as error:
            return Done(_refused(error))

    return run


def _refused(error: AgentRefused) -> Mapping[str, Any]:
    minor = error.amount.minor if error.amount is not None else None
    return {"refused": error.code, "minor": minor, "wait": error.wait_s}


def _placed(did: Mapping[str, Any]) -> Mapping[str, Any]:
    """A new PIN that was not repeated is asked for from the beginning."""
    return {**did, "then": "agent.new_pin"} if "refused" in did else did


def _amount(values: Mapping[str, Any]) -> Money:
    return Money(int(values["minor"]), str(values["currency"]))


def _listed(sale: Sale) -> Mapping[str, Any]:
    return {
        "code": sale.code,
        "account": sale.account_number,
        "minor": sale.amount.minor,
        "commission": sale.commission.minor,
        "at": short_day(local_date(sale.sold_at, WEST)),
        "proof": sale.proof or "none",
        "left": sale.proofs_left,
    }
