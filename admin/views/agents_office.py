"""What the office does with agents: make one, set what it may and gets, reset its PIN, switch it off."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response, make_response, redirect, request, url_for
from werkzeug.exceptions import NotFound

from admin.agents import AgentParts, begins, by, ends, read_day, tried
from admin.money import Refusal
from admin.parts import Parts, page, say
from admin.views.agents import Shown, show_agent
from admin.views.money_refunds import read_amount
from core.agents.model import AgentView, CommissionRule, Limits
from core.agents.rules import rule_in_force
from core.i18n import N_
from core.kernel.money import CURRENCIES, Money

_NO_AMOUNT = N_("This is no amount.")


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule as the form says it, read. `agent` None: the general one."""

    agent: AgentView | None
    currency: str
    basis_points: int
    least: Money
    most: Money | None


def add_pages(admin: Blueprint, parts: Parts, agents: AgentParts) -> None:
    _add_making(admin, parts, agents)
    _add_limits(admin, parts, agents)
    _add_safety(admin, parts, agents)
    _add_rules(admin, parts, agents)


def _typed(*names: str) -> dict[str, str]:
    return {name: request.form.get(name, "").strip()[:120] for name in names}


def _back(agent_id: int, done: str) -> Response:
    return make_response(redirect(url_for("admin.agent", agent_id=agent_id, done=done), 303))


def _add_making(admin: Blueprint, parts: Parts, agents: AgentParts) -> None:
    def show(refusal: Refusal | None = None, typed: dict[str, str] | None = None) -> Response:
        body = page(
            "agents_new.html", parts, agencies=agents.desk.agencies(), currencies=sorted(CURRENCIES), refusal=refusal,
            typed=typed or {},
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    @admin.get("/agents/new")
    def new_agent() -> Response:
        return show()

    @admin.post("/agents/new")
    def create_agent() -> Response:
        typed = _typed("name", "phone", "agency", "currency", "credit", "code")
        currency = typed["currency"] if typed["currency"] in CURRENCIES else "CDF"
        credit = read_amount(typed["credit"] or "0", currency)
        if credit is None:
            return show(Refusal(say(_NO_AMOUNT), 400), typed)
        agency_id = int(typed["agency"]) if typed["agency"].isdecimal() else 0
        made = tried(
            parts, "agent.created", typed["phone"][:20],
            lambda: agents.agents.create(
                typed["name"], typed["phone"], agency_id=agency_id, credit_limit=credit, by=by(), code=typed["code"]
            ),
        )  # fmt: skip
        if isinstance(made, Refusal):
            return show(made, typed)
        # The PIN is shown once: in the answer itself, never in an address.
        return show_agent(parts, agents, made.agent_id, Shown(pin=made.pin, created=True))


def _add_limits(admin: Blueprint, parts: Parts, agents: AgentParts) -> None:
    @admin.post("/agents/<int:agent_id>/limits")
    def set_limits(agent_id: int) -> Response:
        a, typed = agents.line(agent_id).agent, _typed("per_sale", "per_day", "large")
        read = [read_amount(text, a.currency) for text in typed.values()]
        amounts = [amount for amount in read if amount is not None]
        if len(amounts) < len(read):
            return show_agent(parts, agents, agent_id, Shown(Refusal(say(_NO_AMOUNT), 400), "limits", typed))
        answer = tried(
            parts, "agent.limits", a.code, lambda: agents.agents.set_limits(agent_id, Limits(*amounts), by())
        )
        if isinstance(answer, Refusal):
            return show_agent(parts, agents, agent_id, Shown(answer, "limits", typed))
        return _back(agent_id, "limits")

    @admin.post("/agents/<int:agent_id>/credit")
    def set_credit(agent_id: int) -> Response:
        a, typed = agents.line(agent_id).agent, _typed("credit")
        limit = read_amount(typed["credit"], a.currency)
        if limit is None:
            return show_agent(parts, agents, agent_id, Shown(Refusal(say(_NO_AMOUNT), 400), "credit", typed))
        answer = tried(
            parts, "agent.credit_limit", a.code, lambda: agents.agents.set_credit_limit(agent_id, limit, by())
        )
        if isinstance(answer, Refusal):
            return show_agent(parts, agents, agent_id, Shown(answer, "credit", typed))
        return _back(agent_id, "credit")


def _add_safety(admin: Blueprint, parts: Parts, agents: AgentParts) -> None:
    @admin.post("/agents/<int:agent_id>/pin")
    def reset_agent_pin(agent_id: int) -> Response:
        code = agents.line(agent_id).agent.code
        pin = tried(parts, "agent.pin_reset", code, lambda: agents.agents.reset_pin(agent_id, by()))
        shown = Shown(refusal=pin) if isinstance(pin, Refusal) else Shown(pin=pin)
        return show_agent(parts, agents, agent_id, shown)

    @admin.post("/agents/<int:agent_id>/sim")
    def note_sim(agent_id: int) -> Response:
        code = agents.line(agent_id).agent.code
        answer = tried(parts, "agent.sim_changed", code, lambda: agents.agents.note_sim_changed(agent_id, by()))
        if isinstance(answer, Refusal):
            return show_agent(parts, agents, agent_id, Shown(answer))
        return _back(agent_id, "sim")

    def switch(agent_id: int, active: bool) -> Response:
        code = agents.line(agent_id).agent.code
        what = "agent.enabled" if active else "agent.disabled"
        answer = tried(parts, what, code, lambda: agents.agents.set_active(agent_id, active, by()))
        if isinstance(answer, Refusal):
            return show_agent(parts, agents, agent_id, Shown(answer))
        return _back(agent_id, "on" if active else "off")

    @admin.post("/agents/<int:agent_id>/off")
    def stop_agent(agent_id: int) -> Response:
        return switch(agent_id, False)

    @admin.post("/agents/<int:agent_id>/on")
    def start_agent(agent_id: int) -> Response:
        return switch(agent_id, True)


def _add_rules(admin: Blueprint, parts: Parts, agents: AgentParts) -> None:
    def show(refusal: Refusal | None = None, typed: dict[str, str] | None = None) -> Response:
        rules, now = agents.desk.rules(), parts.clock.now()
        of: dict[int | None, list[CommissionRule]] = {None: []}
        for one in rules:
            of.setdefault(one.rule.agent_id, []).append(one.rule)
        running = [rule_in_force(own, currency, now) for own in of.values() for currency in CURRENCIES]
        body = page(
            "agents_rules.html", parts, rules=rules, now=now, currencies=sorted(CURRENCIES), zone=parts.zone,
            general={currency: rule_in_force(of[None], currency, now) for currency in sorted(CURRENCIES)},
            running=[rule.id for rule in running if rule],
            agents=[line.agent for line in agents.desk.agents()], refusal=refusal, money_of=Money,
            typed=typed or {"whose": request.args.get("whose", "")[:20]}, done=request.args.get("done") == "rule",
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    @admin.get("/agents/commission")
    def commission() -> Response:
        return show()

    @admin.post("/agents/commission")
    def add_rule() -> Response:
        typed = _typed("whose", "basis_points", "least", "most", "from_day", "until_day")
        rule = _read_rule(agents, typed)
        if isinstance(rule, Refusal):
            return show(rule, typed)
        try:
            first, last = read_day(typed["from_day"]), read_day(typed["until_day"])
        except ValueError:
            return show(Refusal(say(N_("This is no date.")), 400), typed)
        answer = tried(
            parts, "agent.commission", rule.agent.code if rule.agent else "all",
            lambda: agents.agents.add_commission_rule(
                rule.currency, rule.basis_points, by=by(), min_minor=rule.least.minor,
                max_minor=rule.most.minor if rule.most is not None else None,
                valid_from=begins(first, parts.clock.now()) if first else None,
                valid_until=ends(last) if last else None, agent_id=rule.agent.id if rule.agent else None,
            ),
        )  # fmt: skip
        if isinstance(answer, Refusal):
            return show(answer, typed)
        return make_response(redirect(url_for("admin.commission", done="rule"), 303))


def _read_rule(agents: AgentParts, typed: dict[str, str]) -> _Rule | Refusal:
    """What the form says, or what is wrong with it. `whose`: a currency, for everybody, or an agent's number."""
    agent: AgentView | None = None
    currency = typed["whose"]
    if currency not in CURRENCIES:
        try:
            # No agent has a longer number, and SQLite cannot be asked for one.
            agent = agents.line(int(typed["whose"][:18])).agent
        except (ValueError, NotFound):
            return Refusal(say(N_("Say for whom the rule is.")), 400)
        currency = agent.currency
    share = typed["basis_points"]
    if not share.isdecimal() or len(share) > 5:
        return Refusal(say(N_("Basis points are a whole number: 200 is 2 %.")), 400)
    least = read_amount(typed["least"] or "0", currency)
    most = read_amount(typed["most"], currency) if typed["most"] else None
    if least is None or (typed["most"] and most is None):
        return Refusal(say(_NO_AMOUNT), 400)
    return _Rule(agent, currency, int(share), least, most)
