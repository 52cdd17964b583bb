"""Cash over the counter: the agent reads out a code, the cashier counts, and the float goes up."""

from __future__ import annotations

from datetime import datetime

from flask import Blueprint, Response, make_response, redirect, request, url_for

from admin.agents import WORDS, AgentParts, by, refused, tried
from admin.money import Refusal
from admin.parts import Parts, page, say
from core.agents.errors import AgentRefused
from core.agents.model import HandOver
from core.i18n import N_

_NEWEST = 30


def add_pages(admin: Blueprint, parts: Parts, agents: AgentParts) -> None:
    def found(code: str) -> HandOver | Refusal | None:
        if not code:
            return None
        try:
            return agents.agents.hand_over(code)
        except AgentRefused as error:
            return refused(parts, error)

    def show(code: str = "", refusal: Refusal | None = None) -> Response:
        seen = found(code) if refusal is None else None
        taken = found(request.args.get("done", "")[:20])
        refusal = seen if isinstance(seen, Refusal) else refusal
        offer = seen if isinstance(seen, HandOver) else None
        if offer is not None:
            ended = _ended(offer, parts.clock.now())
            offer, refusal = (None, ended) if ended else (offer, refusal)
        counted = taken if isinstance(taken, HandOver) and taken.state == "accepted" else None
        body = page(
            "agents_cash.html", parts, code=code, offer=offer, refusal=refusal,
            holder=agents.line(offer.agent_id).agent if offer else None, counted=counted,
            float_=agents.agents.float_of(counted.agent_id) if counted else None, zone=parts.zone,
            hand_overs=agents.agents.hand_overs(limit=_NEWEST), now=parts.clock.now(),
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    @admin.get("/agents/cash")
    def agent_cash() -> Response:
        return show(request.args.get("code", "")[:20])

    @admin.post("/agents/cash")
    def take_cash() -> Response:
        code = request.form.get("code", "")[:20]
        answer = tried(parts, "agent.cash_accepted", code, lambda: agents.agents.accept_cash(code, by()))
        if isinstance(answer, Refusal):
            return show(code, answer)
        return make_response(redirect(url_for("admin.agent_cash", done=answer.code), 303))


def _ended(offer: HandOver, now: datetime) -> Refusal | None:
    """Why nothing can be counted for this code any more; None when it can."""
    if offer.state == "accepted":
        return Refusal(say(N_("This cash was counted by {who} already."), who=offer.cashier or ""), 409)
    if offer.state == "withdrawn":
        return Refusal(say(N_("The agent took this hand-over back.")), 409)
    if offer.state == "expired" or offer.expires_at <= now:
        return Refusal(say(WORDS["hand_over_expired"]), 409)
    return None
