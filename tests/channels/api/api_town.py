"""An API over a small town, and programs with tokens that ask it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from argon2 import PasswordHasher
from flask import Flask
from werkzeug.test import TestResponse

from channels.api import ApiParts, Pace, api_blueprint
from core.api_access.rules import SCOPES
from core.db import Database
from core.kernel.clock import Clock
from core.services.agencies import Agencies
from core.services.api_tokens import ApiTokens
from core.services.billing import Billing
from core.services.counter import Counter
from core.services.enrolment import Enrolment
from core.services.invoice_papers import InvoicePapers
from core.services.links import PhoneLinks
from core.services.readings import Readings
from core.services.register import Register
from core.services.staff import Staff
from tests import town

PDF = b"%PDF-1.4 a paper"
NO_HURRY = Pace(burst=100_000, per_minute=100_000.0)


class Papers:
    """Every document there could be, the same one."""

    def __init__(self, register: Register) -> None:
        self._register = register

    def invoice_pdf(self, invoice_id: int) -> bytes | None:
        return PDF

    def credit_note_pdf(self, number: str) -> bytes | None:
        return PDF

    def receipt_pdf(self, payment_id: str) -> bytes | None:
        found = self._register.payment(payment_id)
        return PDF if found and found["state"] == "confirmed" else None


@dataclass(frozen=True)
class Api:
    """`secret`: of a token that may do everything."""

    app: Flask
    tokens: ApiTokens
    secret: str
    staff: Staff

    def get(self, path: str, *, secret: str | None = None, **asked: Any) -> TestResponse:
        return self.app.test_client().get("/api/v1" + path, headers=_bearer(secret or self.secret), query_string=asked)

    def post(
        self, path: str, body: object = None, *, key: str | None = None, secret: str | None = None
    ) -> TestResponse:
        headers = {**_bearer(secret or self.secret), **({"Idempotency-Key": key} if key else {})}
        content: Mapping[str, Any] = {} if body is None else {"json": body}
        return self.app.test_client().post("/api/v1" + path, headers=headers, **content)

    def token(self, name: str, *scopes: str, days: int = 30) -> str:
        return self.tokens.create(name, scopes, days=days)


def _bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"} if secret != "-" else {}


def build(db: Database, clock: Clock, *, pace: Pace = NO_HURRY) -> Api:
    staff = Staff(db, clock, "a secret of the tests, long enough", hasher=PasswordHasher(1, 8, 1))
    register, tokens = Register(db), ApiTokens(db, clock, staff.audit)
    papers = Papers(register)
    parts = ApiParts(
        tokens=tokens,
        register=register,
        agencies=Agencies(db, clock, staff.audit),
        billing=Billing(db, clock),
        counter=Counter(db, clock, staff.audit),
        enrolment=Enrolment(db, clock, staff.audit),
        receipts=papers,
        papers=InvoicePapers(db, clock, register, papers),
        links=PhoneLinks(db, clock, staff.audit),
        readings=Readings(db, clock),
        clock=clock,
        pace=pace,
    )
    app = Flask("api_under_test", static_folder=None)
    app.register_blueprint(api_blueprint(parts, version="1.2.3"))
    return Api(app, tokens, tokens.create("everything", SCOPES, days=30), staff)


def homes(db: Database, count: int) -> list[town.Home]:
    """So many customers with a phone, a meter, a contract and a draft invoice each."""
    with db.begin() as session:
        made = [town.home(session, name=f"Client {number}") for number in range(1, count + 1)]
        for home in made:
            town.invoice(session, home.contract, state="draft")
    return made
