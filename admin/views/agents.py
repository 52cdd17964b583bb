"""Field agents: all of them, and one with float, limits, sales and cash."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response, g, make_response, request
from werkzeug.exceptions import NotFound

from admin.agents import AgentParts
from admin.csv_export import as_csv
from admin.money import Refusal
from admin.parts import Parts, day_time, page, say
from admin.words import name
from core.agents.model import AgentLine, FloatEntry
from core.agents.rules import SIM_HOLD, rule_in_force
from core.i18n import N_
from core.kernel.money import Money

_ENTRIES, _EXPORT_LIMIT = 25, 2_000
_SALES, _HAND_OVERS = 15, 10
_HEAD = [
    N_("Agent"), N_("Name"), N_("Phone"), N_("Agency"), N_("Active"), N_("Locked until"), N_("Currency"), N_("Float"),
    N_("Credit limit"), N_("Sales today"), N_("Sold today"),
]  # fmt: skip
_ENTRY_HEAD = [
    N_("Time"), N_("Kind"), N_("Currency"), N_("Amount"), N_("Account"), N_("Receipt"), N_("Who"), N_("Reference"),
]  # fmt: skip
# What the page says after a form; the address carries the key.
DONE = {
    "limits": N_("The limits hold from now on."),
    "credit": N_("The credit limit holds from now on."),
    "off": N_("Switched off. Nothing can be sold from this float."),
    "on": N_("Switched on again."),
    "sim": N_("Written down. Large sales wait 24 hours."),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What a form of the page left behind: what was refused, what was typed, a PIN to be read out now."""

    refusal: Refusal | None = None
    form: str = ""
    typed: dict[str, str] | None = None
    pin: str | None = None
    created: bool = False


def add_pages(admin: Blueprint, parts: Parts, agents: AgentParts) -> None:
    _add_lists(admin, parts, agents)

    @admin.get("/agents/<int:agent_id>")
    def agent(agent_id: int) -> Response:
        return show_agent(parts, agents, agent_id)

    @admin.get("/agents/<int:agent_id>/float.csv")
    def export_float(agent_id: int) -> Response:
        line = agents.line(agent_id)
        entries = agents.agents.entries(agent_id, limit=_EXPORT_LIMIT)
        code = line.agent.code
        parts.staff.note(g.who.login, "export.float", code, f"{len(entries)} rows")
        return as_csv(f"float-{code}.csv", _ENTRY_HEAD, [_entry_row(entry, parts.zone) for entry in entries])


def _add_lists(admin: Blueprint, parts: Parts, agents: AgentParts) -> None:
    # The endpoint cannot be called `agents`: that is what the services are called here.
    @admin.get("/agents")
    def agent_list() -> Response:
        lines = agents.desk.agents()
        body = page(
            "agents.html", parts, lines=lines, real_now=parts.clock.real_now(), zone=parts.zone,
            without=_without_rule(parts, agents, lines),
        )  # fmt: skip
        return make_response(body)

    @admin.get("/agents.csv")
    def export_agents() -> Response:
        lines = agents.desk.agents()
        parts.staff.note(g.who.login, "export.agents", "all", f"{len(lines)} rows")
        return as_csv("agents.csv", _HEAD, [_row(line, parts) for line in lines])


def show_agent(parts: Parts, agents: AgentParts, agent_id: int, shown: Shown | None = None) -> Response:
    """The page of one agent, also as the answer to a form that was refused or made a PIN. Raises NotFound."""
    shown = shown or Shown()
    line = agents.line(agent_id)
    after = request.args.get("after", "")[:40] or None
    entries = agents.agents.entries(agent_id, limit=_ENTRIES + 1, after=after)
    if after and not entries:
        raise NotFound
    rules = [one for one in agents.desk.rules(agent_id) if one.rule.currency == line.agent.currency]
    now = parts.clock.now()
    hold = line.sim_changed_at + SIM_HOLD if line.sim_changed_at else None
    body = page(
        "agents_one.html",
        parts,
        line=line,
        a=line.agent,
        float_=agents.agents.float_of(agent_id),
        entries=entries[:_ENTRIES],
        older=entries[_ENTRIES - 1].id if len(entries) > _ENTRIES else None,
        newest=after is None,
        sales=agents.agents.last_sales(agent_id, _SALES),
        hand_overs=agents.agents.hand_overs(agent_id, _HAND_OVERS),
        rules=rules,
        in_force=rule_in_force([one.rule for one in rules], line.agent.currency, now),
        hold=hold if hold and hold > now else None,
        now=now,
        real_now=parts.clock.real_now(),
        zone=parts.zone,
        shown=shown,
        typed=shown.typed or {},
        plain=plain,
        money_of=Money,
        done=DONE.get(request.args.get("done", "")),
    )
    return make_response(body, shown.refusal.status if shown.refusal else 200)


def plain(money: Money) -> str:
    """What a person would type for it: no sign of the currency."""
    return money.text.rsplit(" ", 1)[0]


def signed(money: Money) -> str:
    """For a table of numbers: `-1250.00`."""
    return ("-" if money.minor < 0 else "") + Money(abs(money.minor), money.currency).decimal_text(2)


def _without_rule(parts: Parts, agents: AgentParts, lines: list[AgentLine]) -> list[str]:
    """Currencies in which somebody sells and earns nothing, because no general rule is in force."""
    general = [one.rule for one in agents.desk.rules() if one.rule.agent_id is None]
    now = parts.clock.now()
    sold_in = {line.agent.currency for line in lines if line.agent.active}
    return sorted(currency for currency in sold_in if rule_in_force(general, currency, now) is None)


def _row(line: AgentLine, parts: Parts) -> list[object]:
    a = line.agent
    locked = a.locked_until if a.locked_until and a.locked_until > parts.clock.real_now() else None
    return [
        a.code, a.name, a.phone, line.agency, say(N_("yes") if a.active else N_("no")), day_time(locked, parts.zone),
        a.currency, signed(a.balance), signed(a.credit_limit), line.sales_today, signed(line.sold_today),
    ]  # fmt: skip


def _entry_row(entry: FloatEntry, zone: str) -> list[object]:
    return [
        day_time(entry.at, zone), say(name("float_entry", entry.kind)), entry.change.currency, signed(entry.change),
        entry.account_number or "", entry.receipt_number or "", entry.actor, entry.memo,
    ]  # fmt: skip
