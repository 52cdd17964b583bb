"""An entry of the story as one line of a table: for CSV."""

from __future__ import annotations

from admin import words
from admin.parts import day_time, say
from core.desk.model import (
    Abandoned,
    Asked,
    Billed,
    Crew,
    Decided,
    Dial,
    Dunned,
    Entry,
    Issued,
    Paid,
    Promised,
    Reported,
    Step,
    Switched,
    Told,
    Wrote,
)
from core.i18n import day
from core.kernel.money import Money

Row = list[object]


def row_of(entry: Entry, zone: str) -> Row:
    """Kind, account, state, currency, amount, reference, text, details."""
    kind = say(words.name("kind", entry.kind))
    match entry:
        case Dial():
            shown = " | ".join(f"[{s.typed}] {s.text}" if s.typed else s.text for s in entry.screens)
            about = " ".join(filter(None, (entry.service_code, entry.network, entry.language)))
            return [kind, "", entry.how, "", "", entry.phone, shown.replace("\n", " / "), about]
        case Asked():
            why = say(words.name("reason", entry.reason))
            return [
                kind, entry.account, entry.state, *_money(entry.charged), entry.own_ref,
                " ".join(filter(None, (words.name("brand", entry.brand), entry.payer_phone, why, entry.code))),
                _steps(entry.steps, zone),
            ]  # fmt: skip
        case Paid():
            placed = ", ".join(f"{number} {money.text}" for number, money in entry.allocations)
            return [
                kind, entry.account, "reversed" if entry.reversed_at else "", *_money(entry.amount),
                entry.receipt_number, f"{entry.wallet} {entry.provider_txn_id or ''}".strip(), placed,
            ]  # fmt: skip
        case Billed():
            return [
                kind, entry.account, entry.state, *_money(entry.total), entry.number, entry.period, entry.paid.text
            ]  # fmt: skip
        case Told():
            return [kind, entry.account, entry.state, "", "", entry.recipient, entry.body, entry.notice]
        case Wrote():
            return [kind, "", entry.handled, "", "", entry.phone, entry.body, ""]
        case Dunned():
            return [kind, entry.account, entry.step, "", "", entry.invoice, "", entry.evidence or ""]
        case Decided():
            reasons = ", ".join(code for code, _, _ in words.reason_lines(entry.reasons))
            return [kind, entry.account, entry.supply, "", "", "", entry.cause, reasons]
        case Switched():
            return [
                kind, entry.account, entry.state, "", "", f"{entry.meter_id} v{entry.version}",
                f"{entry.supply}: {entry.reason}", _steps(entry.steps, zone),
            ]  # fmt: skip
        case Abandoned():
            return [
                kind,
                entry.account,
                "gave_up",
                "",
                "",
                entry.by,
                say(words.name("queue", entry.work)),
                entry.reason,
            ]
        case Crew():
            return [kind, entry.account, entry.state, "", "", entry.meter_id or "", entry.task, entry.detail]
        case Reported():
            what = say(words.name("case", entry.what))
            return [kind, entry.account, entry.state, "", "", entry.number, f"{what}: {entry.body}", entry.close_reason]
        case Promised():
            until = day(entry.promised_on)
            return [kind, entry.account, entry.state, *_money(entry.amount), entry.phone, until, entry.end_reason]
        case Issued():
            # Without the digits: whoever reads the table needs no key to somebody's light.
            bought = f"{entry.quantity} {entry.unit}"
            return [kind, entry.account, "", *_money(entry.amount), entry.meter_id, bought, len(entry.tokens)]


def _money(money: Money) -> tuple[str, str]:
    return money.currency, money.decimal_text(2)


def _steps(steps: tuple[Step, ...], zone: str) -> str:
    return "; ".join(f"{day_time(s.at, zone)} {s.to_state} {s.detail}".strip() for s in steps)
