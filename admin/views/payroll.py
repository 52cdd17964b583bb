"""The runs of payroll: opened, looked at, closed by somebody else, paid; and each payslip."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, make_response, redirect, request, url_for
from werkzeug.exceptions import NotFound

from admin.csv_export import as_csv
from admin.money import Refusal
from admin.parts import Parts, language, page, say
from admin.payroll import PayrollParts, by, tried
from core.documents.drawing import period_text
from core.i18n import N_
from core.kernel.money import CURRENCIES, Money
from core.payroll.labels import basis_of, label_of
from core.payroll.model import Line, RunView, SlipView

_RUNS, _SLIPS, _EXPORT = 24, 100, 5_000
_HEAD = [
    N_("Month"), N_("Payslip"), N_("Number"), N_("Name"), N_("Job"), N_("Agency"), N_("Line"), N_("Side"),
    N_("How it comes about"), N_("Currency"), N_("Amount"), N_("Asked"), N_("Net of the payslip"), N_("Paid with"),
    N_("Paid on"),
]  # fmt: skip
SIDES = {"earning": N_("earned"), "deduction": N_("deducted"), "employer": N_("employer")}


def add_pages(admin: Blueprint, parts: Parts, pay: PayrollParts) -> None:
    _add_list(admin, parts, pay)
    show = _add_run(admin, parts, pay)
    _add_work(admin, parts, pay, show)
    _add_closing(admin, parts, pay, show)
    _add_slips(admin, parts, pay)


Show = Callable[..., Response]


def _add_list(admin: Blueprint, parts: Parts, pay: PayrollParts) -> None:
    def show(refusal: Refusal | None = None, typed: dict[str, str] | None = None) -> Response:
        before = request.args.get("before", "")
        found = pay.payroll.runs.all(before_id=int(before) if before.isdecimal() else None, limit=_RUNS + 1)
        typed = typed or {"period": pay.payroll.runs.next_period("CDF"), "currency": "CDF"}
        body = page(
            "payroll.html", parts, runs=found[:_RUNS], older=found[_RUNS - 1].id if len(found) > _RUNS else None,
            currencies=sorted(CURRENCIES), refusal=refusal, typed=typed, period_text=period_text, zone=parts.zone,
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    @admin.get("/payroll")
    def payroll() -> Response:
        return show()

    @admin.post("/payroll")
    def open_payroll() -> Response:
        typed = {name: request.form.get(name, "").strip()[:7] for name in ("period", "currency")}
        answer = tried(
            parts, "payroll.opened", f"{typed['period']} {typed['currency']}",
            lambda: pay.payroll.runs.open(typed["period"], typed["currency"], by=by()),
        )  # fmt: skip
        if isinstance(answer, Refusal):
            return show(answer, typed)
        return make_response(redirect(url_for("admin.payroll_run", run_id=answer), 303))


def _add_run(admin: Blueprint, parts: Parts, pay: PayrollParts) -> Show:
    def show(run_id: int, refusal: Refusal | None = None, note: str = "") -> Response:
        runs = pay.payroll.runs
        run = pay.found(lambda: runs.one(run_id))
        after = request.args.get("after", "")
        start = int(after) if after.isdecimal() and len(after) < 7 else 0
        slips = runs.slips(run_id, after=start, limit=_SLIPS + 1)
        looks = runs.looks(run_id)
        body = page(
            "payroll_run.html", parts, run=run, slips=slips[:_SLIPS], start=start, looks=looks,
            more=start + _SLIPS if len(slips) > _SLIPS else None, short=_short(pay, slips[:_SLIPS]),
            rates=runs.rates_of(run), refusal=refusal, note=note, period_text=period_text, zone=parts.zone,
            mine=by() in (run.opened_by, run.computed_by), done=request.args.get("done", "")[:20],
            seen=any(x.by == by() and x.version == run.version and not x.sent_back for x in looks),
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    @admin.get("/payroll/<int:run_id>")
    def payroll_run(run_id: int) -> Response:
        parts.staff.note(by(), "payroll.seen", _name(pay.found(lambda: pay.payroll.runs.one(run_id))))
        return show(run_id)

    @admin.get("/payroll/<int:run_id>.csv")
    def export_payroll(run_id: int) -> Response:
        run = pay.found(lambda: pay.payroll.runs.one(run_id))
        slips = pay.payroll.runs.slips(run_id, limit=_EXPORT)
        lines = pay.payroll.runs.lines([slip.id for slip in slips])
        parts.staff.note(by(), "export.payroll", f"{run.period} {run.currency}", f"{len(slips)} payslips")
        rows = [_row(slip, line) for slip in slips for line in lines.get(slip.id, [])]
        return as_csv(f"payroll-{run.period}-{run.currency}.csv", _HEAD, rows)

    return show


def _short(pay: PayrollParts, slips: list[SlipView]) -> set[int]:
    """Slips on which there was not enough for a line."""
    lines = pay.payroll.runs.lines([slip.id for slip in slips])
    return {slip for slip, own in lines.items() if any(line.amount_minor < line.asked_minor for line in own)}


def _row(slip: SlipView, line: Line) -> list[object]:
    currency = slip.net.currency
    return [
        slip.period, slip.number, slip.staff_number, slip.name, slip.job or say(N_("Agent")), slip.agency,
        label_of(line, language()), say(SIDES[line.side]), basis_of(line, currency, language()), currency,
        Money(line.amount_minor, currency).decimal_text(2), Money(line.asked_minor, currency).decimal_text(2),
        slip.net.decimal_text(2), slip.pay_to, slip.paid_at.date().isoformat() if slip.paid_at else "",
    ]  # fmt: skip


def _name(run: RunView) -> str:
    return f"{run.period} {run.currency}"


def _add_work(admin: Blueprint, parts: Parts, pay: PayrollParts, show: Show) -> None:
    def acted(run_id: int, what: str, done: str, do: Callable[[], None], note: str = "") -> Response:
        run = pay.found(lambda: pay.payroll.runs.one(run_id))
        answer = tried(parts, what, _name(run), do)
        if isinstance(answer, Refusal):
            return show(run_id, answer, note)
        return make_response(redirect(url_for("admin.payroll_run", run_id=run_id, done=done), 303))

    @admin.post("/payroll/<int:run_id>/work")
    def work_payroll(run_id: int) -> Response:
        runs, word, note = pay.payroll.runs, request.form.get("word", ""), _note()
        match word:
            case "compute":
                return acted(run_id, "payroll.computed", word, lambda: runs.compute(run_id, by=by()))
            case "hand_on":
                return acted(run_id, "payroll.handed_on", word, lambda: runs.hand_on(run_id, by=by()))
            case "cancel":
                return acted(run_id, "payroll.cancelled", word, lambda: runs.cancel(run_id, by=by(), note=note), note)
        raise NotFound

    @admin.post("/payroll/<int:run_id>/look")
    def look_at_payroll(run_id: int) -> Response:
        runs, word, note, version = pay.payroll.runs, request.form.get("word", ""), _note(), _version()
        if word == "back":
            return acted(
                run_id, "payroll.sent_back", word, lambda: runs.send_back(run_id, by=by(), note=note), note
            )  # fmt: skip
        return acted(
            run_id, "payroll.looked", "looked", lambda: runs.looked(run_id, version, by=by(), note=note), note
        )  # fmt: skip


def _note() -> str:
    return request.form.get("note", "").strip()[:300]


def _version() -> int:
    typed = request.form.get("version", "")
    return int(typed) if typed.isdecimal() and len(typed) < 8 else 0


def _add_closing(admin: Blueprint, parts: Parts, pay: PayrollParts, show: Show) -> None:
    @admin.post("/payroll/<int:run_id>/close")
    def close_payroll(run_id: int) -> Response:
        run, version = pay.found(lambda: pay.payroll.runs.one(run_id)), _version()
        answer = tried(
            parts, "payroll.closed", _name(run), lambda: pay.payroll.runs.close(run_id, version, by=by())
        )  # fmt: skip
        if isinstance(answer, Refusal):
            return show(run_id, answer)
        return make_response(redirect(url_for("admin.payroll_run", run_id=run_id, done="closed"), 303))

    @admin.post("/payroll/<int:run_id>/paid")
    def pay_payroll(run_id: int) -> Response:
        run, reference = pay.found(lambda: pay.payroll.runs.one(run_id)), request.form.get("reference", "")
        one = request.form.get("slip", "")
        slip_id = int(one) if one.isdecimal() and len(one) < 18 else None
        answer = tried(
            parts, "payroll.paid", _name(run),
            lambda: pay.payroll.runs.mark_paid(run_id, reference[:60], by=by(), slip_id=slip_id),
        )  # fmt: skip
        if isinstance(answer, Refusal):
            return show(run_id, answer)
        if slip_id is not None:
            return make_response(redirect(url_for("admin.payslip", slip_id=slip_id, done="paid"), 303))
        return make_response(redirect(url_for("admin.payroll_run", run_id=run_id, done="paid"), 303))


def _add_slips(admin: Blueprint, parts: Parts, pay: PayrollParts) -> None:
    @admin.get("/payroll/slips/<int:slip_id>")
    def payslip(slip_id: int) -> str:
        slip, lines = pay.found(lambda: pay.payroll.runs.slip(slip_id))
        _note_seen(parts, slip)
        run = pay.payroll.runs.one(slip.run_id)
        shown = [
            (x.side, label_of(x, language()), basis_of(x, slip.net.currency, language()),
             Money(x.amount_minor, slip.net.currency), x.amount_minor < x.asked_minor)
            for x in lines
        ]  # fmt: skip
        return page(
            "payslip.html", parts, slip=slip, run=run, lines=shown, period_text=period_text, zone=parts.zone,
            done=request.args.get("done") == "paid",
        )  # fmt: skip

    @admin.get("/payroll/slips/<int:slip_id>.pdf")
    def payslip_paper(slip_id: int) -> Response:
        slip, _ = pay.found(lambda: pay.payroll.runs.slip(slip_id))
        _note_seen(parts, slip)
        content = pay.paper(str(slip_id))
        if content is None:
            raise NotFound
        response = Response(content, content_type="application/pdf")
        name = (slip.number or f"draft-{slip.id}").lower()
        response.headers["Content-Disposition"] = f'attachment; filename="payslip-{name}.pdf"'
        return response


def _note_seen(parts: Parts, slip: SlipView) -> None:
    """Written down before it is shown: what somebody earns is seen by nobody unseen."""
    parts.staff.note(by(), "payslip.seen", slip.number or f"draft {slip.id}", f"{slip.staff_number}, {slip.period}")
