"""The first page: today's figures. Its tables also as CSV."""

from __future__ import annotations

from flask import Blueprint, Response, g, make_response
from werkzeug.exceptions import NotFound

from admin import words
from admin.csv_export import as_csv
from admin.parts import Parts, day_time, page, say
from core.desk.model import Today
from core.i18n import N_
from core.kernel.money import Money

_EXPORT_LIMIT = 2_000
_LIST_LIMIT = 30

# In the column of wallets: money that an agent took.
AGENTS = "agent"


def add_pages(admin: Blueprint, parts: Parts) -> None:
    @admin.get("/")
    def today() -> Response:
        figures = parts.desk.today(limit=_LIST_LIMIT)
        return make_response(
            page(
                "today.html",
                parts,
                t=figures,
                totals=totals(figures),
                sold=totals(figures, sold=True),
                limit=_LIST_LIMIT,
            )
        )

    @admin.get("/today/<table>.csv")
    def export_today(table: str) -> Response:
        if table not in TABLES:
            raise NotFound
        head, rows = TABLES[table](parts.desk.today(limit=_EXPORT_LIMIT))
        parts.staff.note(g.who.login, "export.today", table, f"{len(rows)} rows")
        return as_csv(f"{table}.csv", head, rows)


def totals(figures: Today, *, sold: bool = False) -> list[tuple[Money, int]]:
    """What all wallets brought, per currency, with the number of payments.

    `sold`: what agents sold instead. It is no part of the money that came: that came when the float was bought.
    """
    sums: dict[str, tuple[int, int]] = {}
    for line in figures.money:
        if (line.wallet == AGENTS) is not sold:
            continue
        minor, count = sums.get(line.money.currency, (0, 0))
        sums[line.money.currency] = (minor + line.money.minor, count + line.count)
    return [(Money(minor, currency), count) for currency, (minor, count) in sums.items()]


Table = tuple[list[str], list[list[object]]]


def _money(figures: Today) -> Table:
    head = [N_("Wallet"), N_("By"), N_("Currency"), N_("Amount"), N_("Payments"), N_("Reversed")]
    return head, [
        [words.name("brand", m.brand), m.wallet, m.money.currency, m.money.decimal_text(2), m.count, m.reversed_count]
        for m in figures.money
    ]


def _attempts(figures: Today, which: str) -> Table:
    head = [
        N_("Time"), N_("Reference"), N_("Account"), N_("Customer"), N_("Payer"), N_("Wallet"), N_("Currency"),
        N_("Amount"), N_("State"), N_("Reason"), N_("Code"),
    ]  # fmt: skip
    lines = figures.open_attempts if which == "open" else figures.failed_attempts
    return head, [
        [
            day_time(a.created_at, figures.zone), a.own_ref, a.account, a.customer, a.payer_phone,
            words.name("brand", a.brand), a.charged.currency, a.charged.decimal_text(2), a.state, a.reason or "",
            a.code or "",
        ]
        for a in lines
    ]  # fmt: skip


def _queues(figures: Today) -> Table:
    head = [N_("Work"), N_("Waiting"), N_("Oldest since"), N_("Given up")]
    return head, [[q.kind, q.waiting, day_time(q.oldest_at, figures.zone), q.dead] for q in figures.queues]


def _dead(figures: Today) -> Table:
    head = [N_("Number"), N_("Work"), N_("Key"), N_("Why"), N_("Time")]
    return head, [[d.id, d.kind, d.key, d.why, day_time(d.created_at, figures.zone)] for d in figures.dead]


def _notices(figures: Today) -> Table:
    head = [N_("Message"), N_("Sent"), N_("Delivered"), N_("Waiting"), N_("Failed")]
    return head, [
        [say(words.name("notice", n.kind)), n.sent, n.delivered, n.waiting, n.failed] for n in figures.notices
    ]


def _meters(figures: Today) -> Table:
    head = [N_("Meter"), N_("Account"), N_("Customer"), N_("Wanted"), N_("Reported"), N_("Since"), N_("Last heard")]
    return head, [
        [
            m.meter_id, m.account, m.customer, m.desired, m.reported or "", day_time(m.since, figures.zone),
            day_time(m.reported_at, figures.zone),
        ]
        for m in figures.stray
    ]  # fmt: skip


TABLES = {
    "money": _money,
    "open": lambda figures: _attempts(figures, "open"),
    "failed": lambda figures: _attempts(figures, "failed"),
    "queues": _queues,
    "dead": _dead,
    "messages": _notices,
    "meters": _meters,
}
