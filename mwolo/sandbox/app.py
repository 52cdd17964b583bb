"""Builds the box: one Flask application with every partner in it, and the threads that act later."""

from __future__ import annotations

import time
from pathlib import Path

from flask import Flask, Response, send_from_directory

from mwolo.sandbox import api
from mwolo.sandbox.calls import UssdNetwork
from mwolo.sandbox.config import SandboxConfig
from mwolo.sandbox.errands import Errands
from mwolo.sandbox.faults import Faults
from mwolo.sandbox.keypads import Keypads
from mwolo.sandbox.ledger import OperatorLedger
from mwolo.sandbox.mail import MailNetwork
from mwolo.sandbox.operators.airtel import AirtelOperator
from mwolo.sandbox.operators.daraja import DarajaOperator
from mwolo.sandbox.operators.keys import OperatorKeys
from mwolo.sandbox.operators.orange_b2b import OrangeB2bOperator
from mwolo.sandbox.operators.orange_soap import OrangeSoapOperator
from mwolo.sandbox.operators.pawapay import PawapayOperator
from mwolo.sandbox.operators.vodacom import VodacomOperator
from mwolo.sandbox.outbound import Outbound
from mwolo.sandbox.phones import Phones
from mwolo.sandbox.ports import ClockControl, MeterBox
from mwolo.sandbox.statements import Statements
from mwolo.sandbox.store import Now, Store
from mwolo.sandbox.texts import SmsNetwork
from mwolo.sandbox.town import Town

PAGE = Path(__file__).parent / "page"
# Nobody's message is larger; a seed of a whole town is.
MOST_BYTES = 8 * 1024 * 1024


class Sandbox:
    """What must be closed when the box is: waiting calls are let go, errands under way are finished."""

    def __init__(self, store: Store, errands: Errands, ussd: UssdNetwork, mail: MailNetwork, box: api.Box) -> None:
        self.store = store
        self.errands = errands
        self.box = box
        self.mail = mail
        self._ussd = ussd

    def close(self) -> None:
        self.store.bell.close()
        self.errands.stop()
        self._ussd.close()
        self.mail.close()
        self.store.close()


def create_app(
    config: SandboxConfig,
    *,
    clock_control: ClockControl | None = None,
    meters: MeterBox | None = None,
    now: Now = time.time,
) -> Flask:
    """The box as a WSGI application. Its threads run at once; end them with `sandbox_of(app).close()`.

    `now`: seconds since 1970, for lifetimes of prompts and sessions (tests move it by hand).
    """
    store = Store(config.data_dir)
    errands, faults, outbound, keys = Errands(store, now), Faults(store), Outbound(), OperatorKeys(store)
    ahead = None if clock_control is None else clock_control.ahead_s
    ledger = OperatorLedger(store, errands, now, prompt_lifetime_s=config.prompt_lifetime_s, ahead=ahead)
    ussd = UssdNetwork(config, store, faults, errands, outbound, now)
    sms = SmsNetwork(config, store, faults, errands, outbound, now)
    mail = MailNetwork(config, store, faults, errands, outbound, now)
    vodacom = VodacomOperator(config, store, ledger, faults, errands, outbound, keys, now)
    pawapay = PawapayOperator(config, store, ledger, faults, errands, outbound, keys, now)
    airtel = AirtelOperator(config, store, ledger, faults, errands, outbound, keys, now)
    daraja = DarajaOperator(config, store, ledger, faults, errands, outbound, now)
    orange_soap = OrangeSoapOperator(config, store, ledger, faults, errands, outbound, now)
    orange_b2b = OrangeB2bOperator(config, store, ledger, faults, errands, outbound, now)
    town = Town(store, meters)
    statements = Statements(ledger.movements, now, ahead, faults.skew_s)
    keypads = Keypads(store, now, ahead)
    box = api.Box(config, Phones(store), ussd, sms, ledger, faults, town, keypads, keys, clock_control, statements)

    app = Flask("mwolo.sandbox", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]
    for pages in (vodacom.blueprint(), pawapay.blueprint(), airtel.blueprint(), sms.blueprint(), api.blueprint(box)):
        app.register_blueprint(pages)
    app.register_blueprint(mail.blueprint())
    app.register_blueprint(orange_soap.blueprint())
    app.register_blueprint(orange_b2b.blueprint())
    # Also at the root, for clients that join Daraja's paths to the host alone.
    for name, prefix in (("daraja", "/daraja"), ("daraja_at_root", "")):
        app.register_blueprint(daraja.blueprint(name, prefix))
    _add_pages(app)
    app.extensions["sandbox"] = Sandbox(store, errands, ussd, mail, box)
    errands.start()
    if config.smtp_port:
        mail.serve(config.smtp_port)
    return app


def sandbox_of(app: Flask) -> Sandbox:
    held = app.extensions["sandbox"]
    assert isinstance(held, Sandbox)
    return held


def _add_pages(app: Flask) -> None:
    """The phone page, and the sign of life."""

    @app.get("/sandbox/")
    def phone_page() -> Response:
        if not (PAGE / "phone.html").exists():
            return Response("The phone page is not part of this installation.", 404, content_type="text/plain")
        return send_from_directory(PAGE, "phone.html")

    @app.get("/sandbox/static/<path:name>")
    def static_file(name: str) -> Response:
        return send_from_directory(PAGE / "static", name)

    @app.get("/sandbox/healthz")
    def healthz() -> Response:
        return Response("ok", content_type="text/plain")
