"""Billing months: what runs made and left out, what changed a lot, and ordering the next step for all of a month."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from flask import Blueprint, Response, g, make_response, redirect, request, url_for
from werkzeug.exceptions import NotFound

from admin import invoice_words, money
from admin.csv_export import as_csv
from admin.invoices import InvoiceParts, explained, in_a_sentence, month_in, month_of, new_key, plain
from admin.money import Refusal, by
from admin.parts import Parts, day_time, page, say
from core.desk.invoice_model import RunView
from core.i18n import N_
from core.kernel.clock import WEST, local_date
from core.services.billing_orders import ACTS

_KEY = re.compile(r"[0-9a-f]{32}")
_EXPORT_LIMIT = 2_000
# How often a page with work under way loads itself anew.
_AGAIN_S = 5
_RUNS_HEAD = [N_("Month"), N_("Agency"), N_("Began"), N_("Ended"), N_("Drafted"), N_("Left out"), N_("By")]
_HEAD = [N_("Account"), N_("Customer"), N_("Reason"), N_("Details")]


def add_pages(admin: Blueprint, parts: Parts, invoices: InvoiceParts) -> None:
    def show_month(period: str, agency: str, refusal: Refusal | None = None) -> Response:
        view = invoices.desk.month(period, agency or None)
        orders = invoices.orders.of_month(period)
        body = page(
            "invoice_month.html", parts, view=view, orders=orders, agency=agency, agencies=invoices.desk.agencies(),
            busy={order.act for order in orders if order.is_open}, iw=invoice_words, key=new_key(), refusal=refusal,
            done=request.args.get("done", ""), explained=explained, zone=parts.zone,
        )  # fmt: skip
        response = make_response(body, refusal.status if refusal else 200)
        if any(order.is_open for order in orders) and request.method == "GET":
            response.headers["Refresh"] = str(_AGAIN_S)
        return response

    def show_months(refusal: Refusal | None = None) -> Response:
        body = page(
            "invoice_months.html", parts, runs=invoices.desk.months(), agencies=invoices.desk.agencies(),
            month=_month_over(parts.clock.now()), key=new_key(), iw=invoice_words, refusal=refusal,
            zone=parts.zone,
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    @admin.get("/invoices/months")
    def billing_months() -> Response:
        return show_months()

    @admin.get("/invoices/months.csv")
    def export_billing_months() -> Response:
        runs = invoices.desk.months(limit=_EXPORT_LIMIT)
        parts.staff.note(g.who.login, "export.billing_runs", "all", f"{len(runs)} rows")
        return as_csv("billing-runs.csv", _RUNS_HEAD, [_run_row(run, parts.zone) for run in runs])

    @admin.get("/invoices/months/<period>")
    def billing_month(period: str) -> Response:
        return show_month(month_of(period), plain(request.args.get("agency", ""), 12))

    @admin.get("/invoices/months/<period>/left-out.csv")
    def export_left_out(period: str) -> Response:
        agency = plain(request.args.get("agency", ""), 12)
        found = invoices.desk.left_out(month_of(period), agency or None, limit=_EXPORT_LIMIT)
        parts.staff.note(g.who.login, "export.left_out", f"month {period}", f"{len(found)} rows")
        rows = [[one.account, one.customer, _reason(one.reason), one.detail] for one in found]
        return as_csv(f"left-out-{period}.csv", _HEAD, rows)

    @admin.post("/invoices/months/orders")
    def order_billing() -> Response:
        period, agency = request.form.get("month", "")[:7], plain(request.form.get("agency", ""), 12)
        act, key = request.form.get("act", ""), request.form.get("key", "")
        if act not in ACTS or not _KEY.fullmatch(key):
            raise NotFound
        if act == "send" and request.form.get("looked") != "1":
            return show_month(month_of(period), agency, Refusal(say(N_("Say that you have looked at it first.")), 400))
        # The service writes the entry of the audit log, in the transaction that stages the work.
        answer = money.tried(
            lambda: in_a_sentence(lambda: invoices.orders.order(key, act, period, agency=agency or None, by=by()))
        )
        if isinstance(answer, Refusal):
            return show_month(period, agency, answer) if month_in(period) else show_months(answer)
        to = url_for("admin.billing_month", period=period, agency=agency or None, done="ordered")
        return make_response(redirect(to, 303))

    @admin.post("/invoices/months/orders/<int:order_id>/stop")
    def stop_billing(order_id: int) -> Response:
        period = month_of(request.form.get("month", ""))
        answer = money.tried(lambda: in_a_sentence(lambda: invoices.orders.stop(order_id, by=by())))
        if isinstance(answer, Refusal):
            return show_month(period, "", answer)
        return make_response(redirect(url_for("admin.billing_month", period=period, done="stopped"), 303))


def _run_row(run: RunView, zone: str) -> list[object]:
    return [
        run.period, run.agency or "", day_time(run.started_at, zone), day_time(run.finished_at, zone), run.made,
        run.left_out, run.started_by,
    ]  # fmt: skip


def _month_over(now: datetime) -> str:
    """The newest month that is over: the one that is billed by consumption."""
    return f"{local_date(now, WEST).replace(day=1) - timedelta(days=1):%Y-%m}"


def _reason(code: str) -> str:
    return say(invoice_words.LEFT_OUT[code][0]) if code in invoice_words.LEFT_OUT else code
