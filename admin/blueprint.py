"""Builds the console. The wiring hands in the services; the console knows nothing else."""

from __future__ import annotations

import structlog
from flask import Blueprint, Response, make_response, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import Forbidden, HTTPException, InternalServerError, NotFound, RequestEntityTooLarge

from admin import auth
from admin.agents import AgentParts
from admin.cases import CaseParts
from admin.dunning import DunningParts
from admin.invoices import InvoiceParts
from admin.metering import MeteringParts
from admin.money import MoneyParts
from admin.parts import Parts, ReceiptSource, page
from admin.payroll import PayrollParts
from admin.setup import SetupParts
from admin.short_code import ShortCodeParts
from admin.views import (
    account,
    agencies_office,
    agents_cash,
    agents_office,
    api_tokens,
    audit,
    billing_months,
    counter,
    customer,
    dunning_one,
    dunning_policy,
    invoice_acts,
    invoice_new,
    money_attempts,
    money_days,
    money_refunds,
    money_statements,
    money_suspense,
    money_wallets,
    payroll_people,
    payroll_rates,
    phones,
    prepaid_prices,
    promises,
    search,
    session,
    settings,
    short_code,
    today,
)
from admin.views import agencies as agencies_pages
from admin.views import agents as agent_pages
from admin.views import cases as case_pages
from admin.views import dunning as dunning_pages
from admin.views import emails as email_pages
from admin.views import imports as import_pages
from admin.views import invoices as invoice_pages
from admin.views import meters as meter_pages
from admin.views import payroll as payroll_pages
from admin.views import (
    queues as queue_pages,
)
from admin.views import readings as reading_pages
from admin.views import staff as staff_pages
from admin.views import tariffs as tariff_pages
from core.i18n import N_
from core.kernel.clock import WEST, Clock
from core.kernel.errors import NotRecorded
from core.services.desk import Desk
from core.services.emails import Emails
from core.services.imports import Imports
from core.services.links import PhoneLinks
from core.services.queues import Queues
from core.services.staff import Staff

_log = structlog.get_logger("console")


def admin_blueprint(
    *,
    desk: Desk,
    staff: Staff,
    receipts: ReceiptSource,
    money: MoneyParts,
    agents: AgentParts,
    links: PhoneLinks,
    cases: CaseParts,
    emails: Emails,
    imports: Imports,
    code: ShortCodeParts,
    payroll: PayrollParts,
    queues: Queues,
    invoices: InvoiceParts,
    metering: MeteringParts,
    setup: SetupParts,
    dunning: DunningParts,
    clock: Clock,
    utility: str,
    secure: bool,
    zone: str = WEST,
) -> Blueprint:
    """The console at `/admin/`.

    `money`, `agents`, `links`, `cases`, `emails`, `code`, `queues`, `invoices`, `dunning`: the services behind them.
    `secure`: it is served by https only (cookies say so, and browsers are told to remember). `utility`: the name in its
    head. The app needs a secret key; form tokens are checked on the console's own routes and on no others.
    """
    parts = Parts(
        desk=desk,
        staff=staff,
        receipts=receipts,
        clock=clock,
        secure=secure,
        utility=utility,
        zone=zone,
    )
    admin = Blueprint("admin", __name__, url_prefix="/admin", template_folder="templates", static_folder="static")
    auth.guard(admin, parts)
    for view in (session, today, search, customer, account, audit, settings):
        view.add_pages(admin, parts)
    for money_view in (money_attempts, money_suspense, money_days, money_statements, money_refunds, money_wallets):
        money_view.add_pages(admin, parts, money)
    for agent_view in (agent_pages, agents_office, agents_cash):
        agent_view.add_pages(admin, parts, agents)
    phones.add_pages(admin, parts, links)
    email_pages.add_pages(admin, parts, emails)
    import_pages.add_pages(admin, parts, imports)
    queue_pages.add_pages(admin, parts, queues)
    for invoice_view in (invoice_pages, invoice_acts, invoice_new, billing_months, counter):
        invoice_view.add_pages(admin, parts, invoices)
    for case_view in (case_pages, promises):
        case_view.add_pages(admin, parts, cases)
    for dunning_view in (dunning_pages, dunning_one, dunning_policy):
        dunning_view.add_pages(admin, parts, dunning)
    short_code.add_pages(admin, parts, code)
    for metering_view in (meter_pages, reading_pages, tariff_pages, prepaid_prices):
        metering_view.add_pages(admin, parts, metering)
    for payroll_view in (payroll_pages, payroll_people, payroll_rates):
        payroll_view.add_pages(admin, parts, payroll)
    for setup_view in (agencies_pages, agencies_office, api_tokens, staff_pages):
        setup_view.add_pages(admin, parts, setup)
    _add_errors(admin, parts)
    return admin


def _add_errors(admin: Blueprint, parts: Parts) -> None:
    def refused(status: int, title: str, text: str) -> Response:
        return make_response(page("error.html", parts, status=status, title=title, text=text), status)

    # A wrong address below /admin/ is the console's own business, so that it answers in its own words.
    @admin.route("/<path:rest>", methods=["GET", "POST"])
    def missing(rest: str) -> Response:
        raise NotFound

    @admin.errorhandler(NotFound)
    def not_found(_error: NotFound) -> Response:
        return refused(
            404,
            N_("There is no such page."),
            N_("The address may be mistyped, or what it showed is not here any more."),
        )

    @admin.errorhandler(Forbidden)
    def forbidden(_error: Forbidden) -> Response:
        return refused(
            403,
            N_("Your role does not allow this."),
            N_("Ask an administrator if you need it for your work. Nothing was changed."),
        )

    @admin.errorhandler(RequestEntityTooLarge)
    def too_large(_error: RequestEntityTooLarge) -> Response:
        if request.endpoint == "admin.upload_import":
            return refused(413, N_("This is too large."), N_("A file may have 25 MB. Cut it in parts."))
        return refused(
            413, N_("This is too large."), N_("A file may have 10 MB. Ask the operator's portal for a shorter period.")
        )

    @admin.errorhandler(CSRFError)
    def stale_form(_error: CSRFError) -> Response:
        return refused(
            400,
            N_("This form is not valid any more."),
            N_("It was open too long, or came from somewhere else. Go back, load the page again, and repeat."),
        )

    @admin.errorhandler(NotRecorded)
    def busy(_error: NotRecorded) -> Response:
        return refused(503, N_("The system is busy."), N_("Nothing was recorded. Wait a few seconds and try again."))

    @admin.errorhandler(InternalServerError)
    def broken(error: InternalServerError) -> Response:
        _log.error("console.page_failed", exc_info=error.original_exception)
        return refused(
            500,
            N_("Something went wrong on our side."),
            N_("It has been written down for the operators of the system."),
        )

    @admin.errorhandler(HTTPException)
    def other(error: HTTPException) -> Response:
        return refused(
            error.code or 500, N_("This does not work that way."), N_("Go back and try again. Nothing was changed.")
        )
