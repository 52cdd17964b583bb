"""The web application: doors for aggregators and wallets, the console, the public pages, and what machines ask."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version

from flask import Flask, Request, Response, jsonify, redirect
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask_wtf.csrf import CSRFProtect
from sqlalchemy import text
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response as BaseResponse

from admin.agents import AgentParts
from admin.blueprint import admin_blueprint
from admin.cases import CaseParts
from admin.dunning import DunningParts
from admin.invoices import InvoiceParts
from admin.metering import MeteringParts
from admin.money import MoneyParts
from admin.payroll import PayrollParts
from admin.setup import SetupParts
from admin.short_code import ShortCodeParts
from channels.api import api_blueprint
from channels.email.views import email_blueprint
from channels.sms.views import sms_blueprint
from channels.ussd.registry import GATEWAYS as USSD_GATEWAYS
from channels.ussd.sessions import RedisSessionEnds
from channels.ussd.views import ussd_blueprint
from channels.verify import verify_blueprint
from channels.wallets import registry as wallets_registry
from channels.wallets.views import hooks_blueprint
from core.db.engine import BUSY_TIMEOUT_S
from core.services.agents.desk import AgentDesk
from core.services.hand_invoices import HandInvoices
from core.services.invoice_desk import InvoiceDesk
from core.services.menu_use import MenuUse
from core.services.meter_desk import MeterDesk
from core.services.money_desk import MoneyDesk
from core.services.staff_office import StaffOffice
from core.services.write_offs import WriteOffs
from mwolo.metrics import Metrics
from mwolo.refreshing import Refresher
from mwolo.wiring import Wiring

# Aggregators and wallets carry no cookie: a session is neither opened nor looked at for them (45 us of a turn).
_MACHINES = ("/ussd/", "/sms/", "/hooks/", "/email/", "/api/")


class _PeoplesSessions(SecureCookieSessionInterface):
    """Flask's own sessions (form tokens of the console), for people only."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        if request.path.startswith(_MACHINES):
            return self.make_null_session(app)
        return super().open_session(app, request)


def create_app(wiring: Wiring | None = None) -> Flask:
    """Build the application from the environment, or from a wiring that a test made. Raises BadSetting."""
    wiring = wiring or Wiring.from_environment(busy_timeout_s=BUSY_TIMEOUT_S)
    settings = wiring.settings
    app = Flask("mwolo", static_folder=None)
    app.config.update(SECRET_KEY=settings.key, MAX_CONTENT_LENGTH=256 * 1024, WTF_CSRF_CHECK_DEFAULT=False)
    app.session_interface = _PeoplesSessions()
    CSRFProtect(app)
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    metrics = Metrics(wiring.db, wiring.clock)
    _keep_fresh(app, wiring)
    _add_doors(app, wiring, metrics)
    app.register_blueprint(
        admin_blueprint(
            desk=wiring.desk,
            staff=wiring.staff,
            receipts=wiring.documents,
            clock=wiring.clock,
            utility=settings.utility_name,
            secure=settings.cookie_secure,
            money=MoneyParts(
                desk=MoneyDesk(wiring.db, wiring.clock),
                payments=wiring.payments,
                reconciliation=wiring.reconciliation,
                refunds=wiring.refunds,
                routing=wiring.routing,
                circuits=wiring.payments.circuits.states,
                wallets=wiring.wallets,
                routes=settings.routes,
            ),
            agents=AgentParts(wiring.agents, AgentDesk(wiring.db, wiring.clock)),
            links=wiring.links,
            cases=CaseParts(wiring.cases, wiring.promises),
            dunning=DunningParts(wiring.foresight, wiring.dunning_desk, wiring.dunning_policies, wiring.billing),
            emails=wiring.emails,
            imports=wiring.imports,
            queues=wiring.queues,
            invoices=_invoice_parts(wiring),
            metering=MeteringParts(wiring.tariffs, wiring.prepaid, wiring.readings, MeterDesk(wiring.db, wiring.clock)),
            setup=SetupParts(
                wiring.agencies,
                wiring.places,
                wiring.api_tokens,
                StaffOffice(wiring.db, wiring.clock, wiring.staff),
            ),
            code=ShortCodeParts(MenuUse(wiring.db, wiring.clock), _menu_map),
            payroll=PayrollParts(wiring.payroll, wiring.documents.payslip_pdf),
        )
    )
    app.register_blueprint(verify_blueprint(wiring.documents, utility=settings.utility_name))
    app.register_blueprint(api_blueprint(wiring.api_parts, version=version("mwolo")))
    _add_machine_pages(app, wiring, metrics)
    if settings.sandbox_url:
        from mwolo.sandbox.mount import sandbox_blueprint

        app.register_blueprint(sandbox_blueprint(settings.sandbox_url))
    return app


def _invoice_parts(wiring: Wiring) -> InvoiceParts:
    return InvoiceParts(
        desk=InvoiceDesk(wiring.db, wiring.clock),
        billing=wiring.billing,
        notes=wiring.credit_notes,
        write_offs=WriteOffs(wiring.db, wiring.clock),
        by_hand=HandInvoices(wiring.db, wiring.clock),
        orders=wiring.billing_orders,
        papers=wiring.invoice_papers,
        counter=wiring.counter,
    )


@cache
def _menu_map(language: str) -> str:
    """The menu changes with a release only."""
    from channels.ussd.menu.journeys import menu
    from channels.ussd.menu.picture import picture

    return picture(menu(), language)


def _keep_fresh(app: Flask, wiring: Wiring) -> None:
    """Which operators are left alone, and whose number is whose: in memory for customers' turns."""
    refresher = Refresher((wiring.payments.circuits.refresh, wiring.routing.refresh))
    refresher.now()

    @app.before_request
    def nudge() -> None:
        refresher.nudge()


def _add_doors(app: Flask, wiring: Wiring, metrics: Metrics) -> None:
    settings = wiring.settings
    gateways = {name: make() for name, make in USSD_GATEWAYS.items()}
    ussd_secrets = settings.secrets_for("ussd")
    app.register_blueprint(
        ussd_blueprint(
            wiring.ussd_turns(metrics.counter("turns")),
            RedisSessionEnds(wiring.ussd_sessions, wiring.clock),
            gateways,
            dict.fromkeys(gateways, ussd_secrets),
            count=metrics.counter("ussd"),
        )
    )
    aggregators = wiring.sms_aggregators
    if aggregators:
        sms_secrets = settings.secrets_for("sms")
        app.register_blueprint(
            sms_blueprint(
                wiring.notices, aggregators, dict.fromkeys(aggregators, sms_secrets), count=metrics.counter("sms")
            )
        )
    if settings.email_secrets:
        app.register_blueprint(
            email_blueprint(wiring.emails, settings.secrets_for("email"), count=metrics.counter("email"))
        )
    if wiring.wallets:
        app.register_blueprint(
            hooks_blueprint(
                wiring.payments,
                wallets_registry.slugs(wiring.wallets, settings.key),
                settings.secrets_for("hook"),
                clock=wiring.clock,
                count=metrics.counter("hooks"),
                sources=settings.hook_networks,
            )
        )


def _add_machine_pages(app: Flask, wiring: Wiring, metrics: Metrics) -> None:
    @app.get("/")
    def root() -> BaseResponse:
        return redirect("/sandbox/" if wiring.settings.sandbox_url else "/admin/")

    @app.get("/healthz")
    def healthz() -> Response:
        """The process answers."""
        return jsonify(status="ok")

    @app.get("/readyz")
    def readyz() -> tuple[Response, int]:
        """The process can do its work: its database and its Redis answer."""
        parts = {"database": _answers(lambda: _ask_database(wiring)), "redis": _answers(wiring.turn_redis.ping)}
        ready = all(parts.values())
        return jsonify(status="ready" if ready else "not ready", parts=parts), 200 if ready else 503

    @app.get("/metrics")
    def show_metrics() -> Response:
        return Response(metrics.text(), content_type="text/plain; version=0.0.4; charset=utf-8")


def _ask_database(wiring: Wiring) -> None:
    with wiring.db.connect_read() as connection:
        connection.execute(text("SELECT 1"))


def _answers(ask: object) -> bool:
    assert callable(ask)
    try:
        ask()
    except Exception:  # noqa: BLE001 (whatever is wrong with a part: it is not ready)
        return False
    return True


def __getattr__(name: str) -> Flask:
    """`mwolo.wsgi:app`, built when a server asks for it: importing this module starts nothing."""
    if name == "app":
        return create_app()
    raise AttributeError(name)
