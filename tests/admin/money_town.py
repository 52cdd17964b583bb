"""The services behind the money pages, wallets that say what they are told, and attempts with a life to look at."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from admin.money import MoneyParts
from core.db import Database
from core.kernel.clock import Clock, FixedClock
from core.kernel.money import Money
from core.payments.ports import BillPayment, Wallet
from core.payments.tables import AttemptRow, CallbackRow, CircuitRow
from core.services.money_desk import MoneyDesk
from core.services.payments import Payments
from core.services.reconciliation import Reconciliation
from core.services.refunds import Refunds
from core.services.routing import Routing
from core.services.staff import Staff
from tests.core.payments.scripted import CAN, ScriptedWallet

PATH_SECRET = "k7Qv2mXw9LpTz4Rb"
CALLBACK = (
    b'{"transaction":{"id":"EUNKNOWN000000000001","message":"Paid 28500.00 by 243815550001","status_code":"TS",'
    b'"airtel_money_id":"MP260310.0912.A00417","amount":28500.00},"apiKey":"very-secret-key"}'
)


class NobodyTalks:
    """No phone has a session open."""

    def has_open(self, phone: str) -> bool:
        return False


def wallets() -> dict[str, Wallet]:
    full = dataclasses.replace(
        CAN, decimals={"CDF": 0}, refunds="full", statements=True, callback_proof="none", query_by_own_id=False,
        limits={"CDF": (10_000, 250_000_000)},
    )  # fmt: skip
    return cast("dict[str, Wallet]", {"vodacom": ScriptedWallet("vodacom"), "pawapay": ScriptedWallet("pawapay", full)})


def parts(db: Database, clock: Clock, staff: Staff) -> MoneyParts:
    """As the wiring builds them."""
    configured = wallets()
    routes = {"mpesa": ("vodacom", "pawapay"), "airtel": ("airtel", "pawapay"), "orange": ("orange", "pawapay")}
    payments = Payments(db, clock, configured, routes, NobodyTalks())
    return MoneyParts(
        desk=MoneyDesk(db, clock),
        payments=payments,
        reconciliation=Reconciliation(db, clock, configured, payments),
        refunds=Refunds(db, clock, configured),
        routing=Routing(db, clock, staff.audit),
        circuits=payments.circuits.states,
        wallets=configured,
        routes=routes,
    )


def called_back(
    session: Session, attempt_id: str | None, at: datetime, body: bytes = CALLBACK, state: str = "done"
) -> None:
    session.add(
        CallbackRow(
            wallet="vodacom", kind="callback", attempt_hint=None, attempt_id=attempt_id, method="POST",
            authority="mwolo.test", path=f"/hooks/b41f/{PATH_SECRET}/callback/{attempt_id}",
            headers={"content-type": "application/json", "x-api-key": "very-secret-key", "user-agent": "Airtel/2"},
            body=body, digest="0" * 64, source="41.77.8.9", received_at=at, state=state, note="succeeded",
            processed_at=at + timedelta(seconds=2),
        )
    )  # fmt: skip


def by_reference(db: Database, own_ref: str) -> AttemptRow:
    with db.read() as session:
        return session.scalars(select(AttemptRow).where(AttemptRow.own_ref == own_ref)).one()


def trouble(db: Database, clock: FixedClock) -> None:
    """pawaPay is left alone for two minutes, and one attempt hangs."""
    with db.begin() as session:
        session.add(
            CircuitRow(
                wallet="pawapay", failures=5, trips=1, open_until=clock.real_now() + timedelta(minutes=2),
                changed_at=clock.real_now(), why="503",
            )
        )  # fmt: skip
        attempt = session.scalars(select(AttemptRow).where(AttemptRow.own_ref == "EUNKNOWN000000000001")).one()
        attempt.next_query_at = clock.real_now() + timedelta(seconds=40)
        attempt.queries = 2
        called_back(session, attempt.id, clock.real_now() - timedelta(minutes=1))


def address(db: Database, own_ref: str) -> str:
    return f"/admin/money/attempts/{by_reference(db, own_ref).id}"


def swapped(account: str) -> str:
    """The same number with two neighbouring digits swapped: a typical slip."""
    at = next(i for i in range(1, len(account) - 1) if account[i] != account[i + 1])
    return account[:at] + account[at + 1] + account[at] + account[at + 2 :]


def unplaced(money: MoneyParts, clock: Clock, reference: str, *, txn: str = "PP900001", units: int = 12_500) -> str:
    """Money by bill number whose reference fits nothing; the payment's id."""
    assert isinstance(money.payments, Payments)
    bill = BillPayment(txn, Money.units(units, "CDF"), reference, "+243815550001", clock.now())
    payment_id = money.payments.book_bill("pawapay", bill)
    assert payment_id is not None
    return payment_id


STATEMENT = """Vodacom M-Pesa,,,,,,,,,,
Receipt No.,Third Party Reference,Completion Time,Paid In,Withdrawn,Currency,Reason Type,Transaction Status,\
Opposite Party,Reference,Linked Transaction ID
{txn},,10/03/2026 08:51:30,"30,000.00",,CDF,Customer Payment,Completed,243815550001 - MBUYI KALALA,1000000018,
CI260310.0700.B00001,,10/03/2026 07:00:00,"5,000.00",,CDF,Customer Payment,Completed,243815557777 - SOMEBODY,77,
CI260310.0711.B00002,,10/03/2026 07:11:00,1.2.3,,CDF,Customer Payment,Completed,243815557777 - SOMEBODY,77,
CI260310.0712.B00003,,10/03/2026 07:12:00,"9,000.00",,CDF,Customer Payment,Failed,243815557777 - SOMEBODY,77,
CI260310.0730.F00001,,10/03/2026 07:30:00,,"150.00",CDF,Charge,Completed,,,
"""


def statement(txn: str, amount: str | None = None) -> bytes:
    """A report as the operator's portal writes it. `amount`: what it says of the known payment, in its own way."""
    text = STATEMENT.replace("{txn}", txn)
    return (text.replace('"30,000.00"', amount) if amount else text).encode()
