"""Reconciliation: the days of each wallet, their lines by outcome, settling what differs, and signing a day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, g, make_response, redirect, request, url_for
from werkzeug.exceptions import NotFound

from admin.csv_export import as_csv
from admin.money import MoneyParts, Refusal, act, by, payer
from admin.parts import Parts, day_time, page, say
from core.i18n import N_
from core.kernel.money import CURRENCIES, Money
from core.reconciliation.model import DECISIONS, Decision, Figure, LineView, PaymentView
from core.reconciliation.rules import TWICE

_LINES, _EXPORT_LIMIT = 100, 2_000
OUTCOMES = ("open", "matched", "theirs_only", "differs", "ignored")
# What a decision needs to know which payment or attempt it speaks of.
_NEEDS_TARGET = ("match", "settle", "reverse")
_HEAD = [
    N_("Time"), N_("Kind"), N_("Operator's transaction"), N_("Currency"), N_("Amount"), N_("Fee"), N_("Payer"),
    N_("Typed"), N_("State"), N_("Note"), N_("Decided by"),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Pages:
    """What the pages of days share."""

    parts: Parts
    money: MoneyParts

    def show_day(
        self, wallet: str, currency: str, day: str, refusal: Refusal | None = None, note: str = ""
    ) -> Response:
        books, moment, outcome = self.money.reconciliation, _day(day), _outcome()
        body = page(
            "money_day.html",
            self.parts,
            d=books.day(wallet, moment, currency),
            outcome=outcome,
            outcomes=OUTCOMES,
            lines=books.lines(
                wallet,
                day=moment,
                currency=currency,
                outcome=outcome if outcome not in ("", "open") else None,
                open_only=outcome == "open",
                limit=_LINES,
                after=request.args.get("after", default=0, type=int),
            ),
            missing=_missing(self.money, wallet, currency, moment, self.parts.zone),
            late=books.after_closing(wallet, moment, currency),
            refusal=refusal,
            note=note,
            sums=_sums(currency),
            payer=payer,
            zone=self.parts.zone,
            limit=_LINES,
            done=request.args.get("done"),
        )
        return make_response(body, refusal.status if refusal else 200)

    def show_line(self, line: LineView, refusal: Refusal | None = None) -> Response:
        body = page(
            "money_line.html",
            self.parts,
            x=line,
            may_book=line.kind in ("payout", "fee")
            or (line.kind == "payment" and (line.payment_id is None or line.note == TWICE)),
            refusal=refusal,
            payer=payer,
            zone=self.parts.zone,
            typed=request.form,
            done=request.args.get("done"),
        )
        return make_response(body, refusal.status if refusal else 200)

    def found_line(self, line_id: int) -> LineView:
        found = self.money.reconciliation.line(line_id)
        if found is None:
            raise NotFound
        return found


def add_pages(admin: Blueprint, parts: Parts, money: MoneyParts) -> None:
    pages = _Pages(parts, money)
    _add_days(admin, pages)
    _add_lines(admin, pages)


def _add_days(admin: Blueprint, pages: _Pages) -> None:
    parts, money, books = pages.parts, pages.money, pages.money.reconciliation

    @admin.get("/money/days")
    def days() -> Response:
        names = tuple(money.wallets)
        wallet = request.args.get("wallet", "")
        wallet = wallet if wallet in names else names[0] if names else ""
        if not wallet:
            return make_response(page("money_days.html", parts, wallet="", names=(), currencies=()))
        currencies = tuple(money.wallets[wallet].can.decimals)
        currency = request.args.get("currency", "")
        currency = currency if currency in currencies else currencies[0]
        body = page(
            "money_days.html", parts, wallet=wallet, names=names, currency=currency, currencies=currencies,
            days=books.days(wallet, currency), totals=[t for t in books.totals(wallet) if t.currency == currency],
            waiting=books.lines(wallet, currency=currency, open_only=True, limit=_LINES),
            missing=[p for p in books.ours_only(wallet, limit=_LINES) if p.amount.currency == currency],
            sums=_sums(currency), payer=payer, zone=parts.zone, limit=_LINES,
        )  # fmt: skip
        return make_response(body)

    @admin.get("/money/days/<wallet>/<currency>/<day>")
    def day(wallet: str, currency: str, day: str) -> Response:
        _check(money, wallet, currency)
        return pages.show_day(wallet, currency, day)

    @admin.get("/money/days/<wallet>/<currency>/<day>.csv")
    def export_day(wallet: str, currency: str, day: str) -> Response:
        _check(money, wallet, currency)
        lines = books.lines(wallet, day=_day(day), currency=currency, limit=_EXPORT_LIMIT)
        parts.staff.note(g.who.login, "export.day", f"{wallet} {currency} {day}", f"{len(lines)} rows")
        return as_csv(f"{wallet}-{currency}-{day}.csv", _HEAD, [_row(line, parts.zone) for line in lines])

    @admin.post("/money/days/<wallet>/<currency>/<day>/close")
    def close_day(wallet: str, currency: str, day: str) -> Response:
        _check(money, wallet, currency)
        moment, note = _day(day), request.form.get("note", "").strip()[:400]
        answer = act(
            parts, "day.closed", f"{wallet} {currency} {moment.isoformat()}", note,
            lambda: books.close_day(wallet, moment, currency, note, by()),
        )  # fmt: skip
        if isinstance(answer, Refusal):
            return pages.show_day(wallet, currency, day, answer, note)
        where = url_for("admin.day", wallet=wallet, currency=currency, day=day, done="closed")
        return make_response(redirect(where, 303))


def _add_lines(admin: Blueprint, pages: _Pages) -> None:
    parts, books = pages.parts, pages.money.reconciliation

    @admin.get("/money/lines/<int:line_id>")
    def line(line_id: int) -> Response:
        return pages.show_line(pages.found_line(line_id))

    @admin.post("/money/lines/<int:line_id>/settle")
    def settle_line(line_id: int) -> Response:
        found, note = pages.found_line(line_id), request.form.get("note", "").strip()[:200]
        decision, target = _decided()
        if decision is None or (decision in _NEEDS_TARGET and not target):
            return pages.show_line(found, Refusal(say(N_("Choose what it is.")), 400))
        if not note:
            return pages.show_line(found, Refusal(say(N_("Write down why.")), 400))
        answer = act(
            parts, "line.settled", f"{found.wallet} {found.provider_txn_id or found.id}",
            f"{decision} {target or ''}: {note}",
            lambda: books.settle_line(line_id, decision, note, by(), target=target),
        )  # fmt: skip
        if isinstance(answer, Refusal):
            return pages.show_line(pages.found_line(line_id), answer)
        return make_response(redirect(url_for("admin.line", line_id=line_id, done="settled"), 303))


def _decided() -> tuple[Decision | None, str | None]:
    """The choice of the form: `decision` or `decision|target`; a typed target goes before the proposed one."""
    word, _, proposed = request.form.get("choice", "").partition("|")
    decision = next((known for known in DECISIONS if known == word), None)
    typed = request.form.get("target", "").strip()[:40]
    return decision, (proposed[:40] or typed or None) if decision in _NEEDS_TARGET else None


def _check(money: MoneyParts, wallet: str, currency: str) -> None:
    money.wallet(wallet)
    if currency not in CURRENCIES:
        raise NotFound


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise NotFound from None


def _outcome() -> str:
    asked = request.args.get("outcome", "")
    return asked if asked in OUTCOMES else ""


def _missing(money: MoneyParts, wallet: str, currency: str, day: date, zone: str) -> Sequence[PaymentView]:
    """Our payments of that day which no line shows."""
    begin = datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
    found = money.reconciliation.ours_only(
        wallet, begin + timedelta(days=1), limit=_LINES, after=begin - timedelta(microseconds=1)
    )
    return [payment for payment in found if payment.amount.currency == currency]


def _sums(currency: str) -> Callable[[int | Figure], str]:
    """Writes figures of a day in the day's currency."""

    def text(minor: int | Figure) -> str:
        return Money(minor if isinstance(minor, int) else minor.minor, currency).text

    return text


def _row(line: LineView, zone: str) -> list[object]:
    return [
        day_time(line.at, zone), line.kind, line.provider_txn_id or "", line.amount.currency,
        line.amount.decimal_text(2), line.fee.decimal_text(2) if line.fee else "", payer(line.payer),
        line.reference or "", line.outcome, say(line.note) if line.note else "", line.decided_by or "",
    ]  # fmt: skip
