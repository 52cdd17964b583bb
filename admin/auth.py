"""The console's door: which page asks for what, who is behind a request, and the headers on every answer.

A page without a rule is shut. What a role may do stands in `core.staff.rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import cast
from urllib.parse import quote

from flask import Blueprint, Flask, Response, g, make_response, redirect, request, url_for
from flask.blueprints import BlueprintSetupState
from flask_wtf.csrf import CSRFProtect
from werkzeug.exceptions import BadRequest, Forbidden, NotFound

from admin.money import FORM_MAX_BYTES
from admin.parts import Parts
from core.csv_files import MAX_BYTES
from core.staff.rules import Permission


class Open(Enum):
    """Pages that need nobody behind them."""

    ANYBODY = "anybody"


ANYBODY = Open.ANYBODY
Rule = Open | Permission

# Every endpoint of the console, and what it asks for.
RULES: Mapping[str, Rule] = {
    "admin.static": ANYBODY,
    "admin.login": ANYBODY,
    "admin.log_in": ANYBODY,
    "admin.language": ANYBODY,
    "admin.missing": ANYBODY,
    "admin.log_out": Permission.OWN_ACCOUNT,
    "admin.account": Permission.OWN_ACCOUNT,
    "admin.change_password": Permission.OWN_ACCOUNT,
    "admin.set_second_factor": Permission.OWN_ACCOUNT,
    "admin.today": Permission.SEE_TODAY,
    "admin.export_today": Permission.EXPORT_MONEY,
    "admin.queues": Permission.SEE_TODAY,
    "admin.export_queues": Permission.EXPORT_MONEY,
    "admin.try_again": Permission.WORK_QUEUES,
    "admin.give_up": Permission.WORK_QUEUES,
    "admin.search": Permission.SEE_CUSTOMERS,
    "admin.customer": Permission.SEE_CUSTOMERS,
    "admin.export_story": Permission.EXPORT_CUSTOMERS,
    "admin.phones": Permission.SEE_CUSTOMERS,
    "admin.answer_link": Permission.LINK_PHONES,
    "admin.confirm_link": Permission.LINK_PHONES,
    "admin.remove_link": Permission.LINK_PHONES,
    "admin.note_link_sim": Permission.LINK_PHONES,
    "admin.emails_": Permission.SEE_CUSTOMERS,
    "admin.clear_email_address": Permission.WORK_CASES,
    "admin.send_email_again": Permission.WORK_CASES,
    "admin.cases": Permission.SEE_CUSTOMERS,
    "admin.export_cases": Permission.EXPORT_CUSTOMERS,
    "admin.new_case": Permission.WORK_CASES,
    "admin.open_case": Permission.WORK_CASES,
    "admin.case": Permission.SEE_CUSTOMERS,
    "admin.take_case": Permission.WORK_CASES,
    "admin.note_case": Permission.WORK_CASES,
    "admin.answer_case": Permission.WORK_CASES,
    "admin.close_case": Permission.WORK_CASES,
    "admin.promises_": Permission.SEE_CUSTOMERS,
    "admin.export_promises": Permission.EXPORT_CUSTOMERS,
    "admin.promise": Permission.SEE_CUSTOMERS,
    "admin.cancel_promise": Permission.CANCEL_PROMISES,
    "admin.receipt": Permission.GET_RECEIPTS,
    "admin.short_code": Permission.SEE_TODAY,
    "admin.export_short_code": Permission.EXPORT_CUSTOMERS,
    "admin.menu_map": Permission.SEE_TODAY,
    "admin.menu_picture": Permission.SEE_TODAY,
    "admin.audit": Permission.SEE_AUDIT,
    "admin.export_audit": Permission.SEE_AUDIT,
    "admin.settings": Permission.SEE_TODAY,
    "admin.dunning_": Permission.SEE_CUSTOMERS,
    "admin.export_dunning": Permission.EXPORT_CUSTOMERS,
    "admin.dunned": Permission.SEE_CUSTOMERS,
    "admin.hand_over_notice": Permission.HOLD_CUTS,
    "admin.put_hold": Permission.HOLD_CUTS,
    "admin.release_hold": Permission.HOLD_CUTS,
    "admin.protect_site": Permission.HOLD_CUTS,
    "admin.unprotect_site": Permission.RUN_DUNNING,
    "admin.dunning_policy": Permission.SEE_TODAY,
    "admin.stop_cuts": Permission.STOP_CUTS,
    "admin.declare_holiday": Permission.STOP_CUTS,
    "admin.lift_stop": Permission.RUN_DUNNING,
    "admin.release_policy": Permission.RUN_DUNNING,
    "admin.reject_policy": Permission.RUN_DUNNING,
    "admin.new_policy": Permission.RUN_DUNNING,
    "admin.ask_policy": Permission.RUN_DUNNING,
    "admin.agency_list": Permission.SEE_TODAY,
    "admin.export_agencies": Permission.SEE_TODAY,
    "admin.agency": Permission.SEE_TODAY,
    "admin.new_agency": Permission.RUN_AGENCIES,
    "admin.create_agency": Permission.RUN_AGENCIES,
    "admin.edit_agency": Permission.RUN_AGENCIES,
    "admin.change_agency": Permission.RUN_AGENCIES,
    "admin.close_agency": Permission.RUN_AGENCIES,
    "admin.reopen_agency": Permission.RUN_AGENCIES,
    "admin.set_agency_day": Permission.RUN_AGENCIES,
    "admin.drop_agency_day": Permission.RUN_AGENCIES,
    "admin.common_days": Permission.RUN_AGENCIES,
    "admin.set_common_day": Permission.RUN_AGENCIES,
    "admin.drop_common_day": Permission.RUN_AGENCIES,
    "admin.api_tokens": Permission.RUN_TOKENS,
    "admin.export_api_tokens": Permission.RUN_TOKENS,
    "admin.issue_api_token": Permission.RUN_TOKENS,
    "admin.revoke_api_token": Permission.RUN_TOKENS,
    "admin.staff_list": Permission.RUN_STAFF,
    "admin.export_staff": Permission.RUN_STAFF,
    "admin.staff_user": Permission.RUN_STAFF,
    "admin.new_staff": Permission.RUN_STAFF,
    "admin.create_staff": Permission.RUN_STAFF,
    "admin.set_staff_role": Permission.RUN_STAFF,
    "admin.stop_staff": Permission.RUN_STAFF,
    "admin.start_staff": Permission.RUN_STAFF,
    "admin.drop_staff_factor": Permission.RUN_STAFF,
    "admin.reset_staff_password": Permission.RUN_STAFF,
    "admin.imports_": Permission.IMPORT_FILES,
    "admin.export_imports": Permission.IMPORT_FILES,
    "admin.import_template": Permission.IMPORT_FILES,
    "admin.upload_import": Permission.IMPORT_FILES,
    "admin.import_one": Permission.IMPORT_FILES,
    "admin.import_lines": Permission.IMPORT_FILES,
    "admin.run_import": Permission.IMPORT_FILES,
    "admin.meters": Permission.SEE_CUSTOMERS,
    "admin.export_meters": Permission.EXPORT_CUSTOMERS,
    "admin.meter": Permission.SEE_CUSTOMERS,
    "admin.export_meter_readings": Permission.EXPORT_CUSTOMERS,
    "admin.switch_on": Permission.SWITCH_ON,
    "admin.readings": Permission.SEE_CUSTOMERS,
    "admin.export_readings": Permission.EXPORT_CUSTOMERS,
    "admin.reading": Permission.SEE_CUSTOMERS,
    "admin.decide_reading": Permission.WORK_READINGS,
    "admin.readings_file": Permission.WORK_READINGS,
    "admin.look_at_readings": Permission.WORK_READINGS,
    "admin.import_readings": Permission.WORK_READINGS,
    "admin.tariffs": Permission.SEE_TODAY,
    "admin.export_tariffs": Permission.EXPORT_CUSTOMERS,
    "admin.tariff": Permission.SEE_TODAY,
    "admin.tariff_contracts": Permission.SEE_CUSTOMERS,
    "admin.export_tariff_contracts": Permission.EXPORT_CUSTOMERS,
    "admin.new_tariff": Permission.SET_TARIFFS,
    "admin.add_tariff": Permission.SET_TARIFFS,
    "admin.prepaid_prices": Permission.SEE_TODAY,
    "admin.export_prepaid_prices": Permission.EXPORT_CUSTOMERS,
    "admin.add_prepaid_price": Permission.SET_TARIFFS,
    "admin.money": Permission.SEE_MONEY,
    "admin.attempts": Permission.SEE_MONEY,
    "admin.export_attempts": Permission.EXPORT_MONEY,
    "admin.attempt": Permission.SEE_MONEY,
    "admin.callbacks": Permission.SEE_MONEY,
    "admin.query_attempt": Permission.ASK_WALLETS,
    "admin.suspense": Permission.SEE_MONEY,
    "admin.export_suspense": Permission.EXPORT_MONEY,
    "admin.suspense_item": Permission.SEE_MONEY,
    "admin.check_placing": Permission.PLACE_MONEY,
    "admin.place": Permission.PLACE_MONEY,
    "admin.withdraw_placing": Permission.PLACE_MONEY,
    "admin.days": Permission.SEE_MONEY,
    "admin.day": Permission.SEE_MONEY,
    "admin.export_day": Permission.EXPORT_MONEY,
    "admin.close_day": Permission.RECONCILE,
    "admin.line": Permission.SEE_MONEY,
    "admin.settle_line": Permission.RECONCILE,
    "admin.statements": Permission.SEE_MONEY,
    "admin.look_at_statement": Permission.RECONCILE,
    "admin.import_statement": Permission.RECONCILE,
    "admin.release_statement": Permission.RECONCILE,
    "admin.refunds": Permission.SEE_MONEY,
    "admin.export_refunds": Permission.EXPORT_MONEY,
    "admin.new_refund": Permission.ASK_REFUNDS,
    "admin.ask_refund": Permission.ASK_REFUNDS,
    "admin.refund": Permission.SEE_MONEY,
    "admin.decide_refund": Permission.DECIDE_REFUNDS,
    "admin.cancel_refund": Permission.ASK_REFUNDS,
    "admin.conclude_refund": Permission.DECIDE_REFUNDS,
    "admin.wallets": Permission.SEE_MONEY,
    "admin.set_number": Permission.EDIT_NUMBERS,
    "admin.remove_number": Permission.EDIT_NUMBERS,
    "admin.agent_list": Permission.SEE_AGENTS,
    "admin.export_agents": Permission.EXPORT_MONEY,
    "admin.agent": Permission.SEE_AGENTS,
    "admin.export_float": Permission.EXPORT_MONEY,
    "admin.new_agent": Permission.RUN_AGENTS,
    "admin.create_agent": Permission.RUN_AGENTS,
    "admin.set_limits": Permission.RUN_AGENTS,
    "admin.set_credit": Permission.RUN_AGENTS,
    "admin.reset_agent_pin": Permission.RUN_AGENTS,
    "admin.note_sim": Permission.STOP_AGENTS,
    "admin.stop_agent": Permission.STOP_AGENTS,
    "admin.start_agent": Permission.RUN_AGENTS,
    "admin.agent_cash": Permission.TAKE_CASH,
    "admin.take_cash": Permission.TAKE_CASH,
    "admin.commission": Permission.SEE_AGENTS,
    "admin.add_rule": Permission.RUN_AGENTS,
    "admin.payroll": Permission.SEE_PAYROLL,
    "admin.open_payroll": Permission.RUN_PAYROLL,
    "admin.payroll_run": Permission.SEE_PAYROLL,
    "admin.export_payroll": Permission.SEE_PAYROLL,
    "admin.work_payroll": Permission.RUN_PAYROLL,
    "admin.look_at_payroll": Permission.SEE_PAYROLL,
    "admin.close_payroll": Permission.CLOSE_PAYROLL,
    "admin.pay_payroll": Permission.CLOSE_PAYROLL,
    "admin.payslip": Permission.SEE_PAYROLL,
    "admin.payslip_paper": Permission.SEE_PAYROLL,
    "admin.employees": Permission.SEE_PAYROLL,
    "admin.export_employees": Permission.SEE_PAYROLL,
    "admin.new_employee": Permission.RUN_PAYROLL,
    "admin.create_employee": Permission.RUN_PAYROLL,
    "admin.employee": Permission.SEE_PAYROLL,
    "admin.change_employee": Permission.RUN_PAYROLL,
    "admin.payroll_agent": Permission.SEE_PAYROLL,
    "admin.add_pay_item": Permission.RUN_PAYROLL,
    "admin.end_pay_item": Permission.RUN_PAYROLL,
    "admin.pay_rates": Permission.SEE_PAYROLL,
    "admin.add_pay_rates": Permission.RUN_PAYROLL,
    "admin.confirm_pay_rates": Permission.CLOSE_PAYROLL,
    "admin.invoices": Permission.SEE_CUSTOMERS,
    "admin.export_invoices": Permission.EXPORT_MONEY,
    "admin.invoice": Permission.SEE_CUSTOMERS,
    "admin.invoice_paper": Permission.GET_RECEIPTS,
    "admin.credit_note_paper": Permission.GET_RECEIPTS,
    "admin.validate_invoice": Permission.ISSUE_INVOICES,
    "admin.send_invoice": Permission.ISSUE_INVOICES,
    "admin.cancel_invoice": Permission.ISSUE_INVOICES,
    "admin.look_at_credit": Permission.CREDIT_INVOICES,
    "admin.credit_invoice": Permission.CREDIT_INVOICES,
    "admin.write_off_invoice": Permission.WRITE_OFF,
    "admin.make_invoice_paper": Permission.WRITE_INVOICES,
    "admin.new_invoice": Permission.WRITE_INVOICES,
    "admin.write_invoice": Permission.WRITE_INVOICES,
    "admin.billing_months": Permission.SEE_CUSTOMERS,
    "admin.billing_month": Permission.SEE_CUSTOMERS,
    "admin.export_left_out": Permission.EXPORT_MONEY,
    "admin.export_billing_months": Permission.EXPORT_MONEY,
    "admin.export_cash": Permission.EXPORT_MONEY,
    "admin.order_billing": Permission.ISSUE_INVOICES,
    "admin.stop_billing": Permission.ISSUE_INVOICES,
    "admin.cash": Permission.TAKE_CASH,
    "admin.take_money": Permission.TAKE_CASH,
    "admin.confirm_money": Permission.PLACE_MONEY,
}

# Where a one-time password leads.
_WITH_ONE_TIME = frozenset({"admin.account", "admin.change_password", "admin.log_out"})

# Forms that carry a file; every other form is small (the application's own limit).
LARGE_FORMS: Mapping[str, int] = {
    "admin.look_at_statement": FORM_MAX_BYTES,
    "admin.import_statement": FORM_MAX_BYTES,
    "admin.look_at_readings": FORM_MAX_BYTES,
    "admin.import_readings": FORM_MAX_BYTES,
    # The whole file of an import, as it is.
    "admin.upload_import": MAX_BYTES + 200_000,
}

CSP = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "script-src 'self'; style-src 'self'; img-src 'self'"
)
# The largest id of both databases, and the questions of addresses that name one.
_ID_MAX = 2**63 - 1
_ROWS_ASKED = ("before", "after", "below", "contract", "customer")
# Two years, as browsers' preload lists ask for.
_HSTS = "max-age=63072000; includeSubDomains"
_STATIC_AGE_S = 31_536_000


def session_cookie(secure: bool) -> str:
    """`__Host-` ties a cookie to this host, to https and to the whole site; without https there is no such thing."""
    return "__Host-mwolo-staff" if secure else "mwolo-staff"


def set_session_cookie(response: Response, token: str, *, secure: bool) -> None:
    response.set_cookie(session_cookie(secure), token, path="/", secure=secure, httponly=True, samesite="Lax")


def drop_session_cookie(response: Response, *, secure: bool) -> None:
    response.delete_cookie(session_cookie(secure), path="/", secure=secure, httponly=True, samesite="Lax")


def session_token(secure: bool) -> str:
    return request.cookies.get(session_cookie(secure), "")


def safe_next(target: str) -> str:
    """A page of the console to go on to after log-in; the first page for anything else, above all other sites."""
    inside = target.startswith("/admin/") and not any(c in target for c in "\\\r\n\t") and "//" not in target
    return target if inside and not target.startswith("/admin/login") else "/admin/"


def guard(admin: Blueprint, parts: Parts) -> None:
    """Put the door before every page of the blueprint and the headers behind it."""
    csrf = CSRFProtect()

    def install(state: BlueprintSetupState) -> None:
        app = cast("Flask", state.app)
        _configure(app, parts.secure)
        csrf.init_app(app)

    admin.record_once(install)

    @admin.before_request
    def check() -> Response | None:
        rule = RULES.get(request.endpoint or "")
        if request.endpoint == "admin.static":
            return None
        g.who = parts.staff.who(session_token(parts.secure))
        # Before the form is read: who may not send a large one is refused by its size.
        most = LARGE_FORMS.get(request.endpoint or "")
        if most is not None and g.who is not None and isinstance(rule, Permission) and g.who.may(rule):
            request.max_content_length = request.max_form_memory_size = most
        # Here and not by the extension itself: callbacks of operators are writes without a form.
        csrf.protect()
        if _says_nul():
            raise BadRequest
        if rule is ANYBODY:
            return None
        if g.who is None:
            return _to_login()
        if rule is None or not g.who.may(rule):
            raise Forbidden
        # A password that somebody else knows opens the page where it is changed, and nothing else.
        if g.who.must_change and request.endpoint not in _WITH_ONE_TIME:
            return make_response(redirect(url_for("admin.account"), 303))
        if _beyond_all_ids():
            raise NotFound
        return None

    @admin.after_request
    def dress(response: Response) -> Response:
        return add_headers(response, secure=parts.secure, keep=request.endpoint == "admin.static")


def _says_nul() -> bool:
    """A character that nobody types, and that one of the databases refuses to be asked about."""
    said = [str(value) for value in (request.view_args or {}).values()]
    for several in (request.args, request.form):
        said += [text for _, texts in several.lists() for text in texts]
    return any("\x00" in text for text in said)


def _beyond_all_ids() -> bool:
    """Whether an address asks for a row no database could hold: that is a page that is not there, no fault of ours."""
    ids = [value for value in (request.view_args or {}).values() if isinstance(value, int)]
    texts = [request.values.get(name, "").lstrip("-") for name in _ROWS_ASKED]
    return any(value > _ID_MAX for value in ids) or any(
        len(text) >= len(str(_ID_MAX)) and text.isdecimal() for text in texts
    )


def _to_login() -> Response:
    if request.method != "GET" or request.endpoint == "admin.today":
        return make_response(redirect(url_for("admin.login"), 303))
    return make_response(
        redirect(f"{url_for('admin.login')}?next={quote(request.full_path.rstrip('?'), safe='/')}", 303)
    )


def _configure(app: Flask, secure: bool) -> None:
    """The form token lives in a signed cookie of its own; nothing else of the product uses Flask's session."""
    app.config["WTF_CSRF_CHECK_DEFAULT"] = False
    app.config["WTF_CSRF_TIME_LIMIT"] = 8 * 3600
    app.config["SESSION_COOKIE_NAME"] = "__Host-mwolo-form" if secure else "mwolo-form"
    app.config["SESSION_COOKIE_SECURE"] = secure
    app.config["SESSION_COOKIE_HTTPONLY"] = True
    app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
    app.config["SESSION_COOKIE_PATH"] = "/"
    if not app.secret_key:
        raise ValueError("the console needs the app's secret key: form tokens are signed with it")


def add_headers(response: Response, *, secure: bool, keep: bool) -> Response:
    """`keep`: a static file, named by its hash; everything else is stored nowhere."""
    headers = response.headers
    # A picture brings its own, which only adds the hash of its style.
    headers.setdefault("Content-Security-Policy", CSP)
    headers["X-Content-Type-Options"] = "nosniff"
    # The form check under https reads the referrer of our own pages; nobody else gets one.
    headers["Referrer-Policy"] = "same-origin"
    headers["X-Frame-Options"] = "DENY"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
    headers["Cache-Control"] = f"public, max-age={_STATIC_AGE_S}, immutable" if keep else "no-store"
    if secure:
        headers["Strict-Transport-Security"] = _HSTS
    return response
