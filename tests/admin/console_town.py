"""A customer to whom everything happened, and a console to look at her with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from flask import Flask
from sqlalchemy.orm import Session

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
from core.billing.tables import DunningDecisionRow, InvoiceRow, ReminderRow
from core.cases.tables import CaseRow
from core.db import Database
from core.desk.queue_model import Watch
from core.kernel.clock import Clock, FixedClock
from core.kernel.digits import with_check
from core.kernel.ids import new_uuid
from core.ledger.tables import AccountRow, JournalRow, TransferRow
from core.notices.tables import DeliveryReportRow, NoticeRow
from core.outbox import OutboxRow
from core.payments.tables import AttemptEventRow, AttemptRow, PaymentRow, WalletPostRow
from core.promises.tables import PromiseRow
from core.sealing import Sealer
from core.services.agencies import Agencies
from core.services.agents import Agents
from core.services.agents.desk import AgentDesk
from core.services.api_tokens import ApiTokens
from core.services.billing import Billing
from core.services.cases import Cases
from core.services.desk import Desk
from core.services.dunning_desk import DunningDesk
from core.services.dunning_policies import DunningPolicies
from core.services.emails import Emails
from core.services.foresight import Foresight
from core.services.imports import Imports
from core.services.links import PhoneLinks
from core.services.menu_use import MenuUse
from core.services.meter_desk import MeterDesk
from core.services.payroll import Payroll
from core.services.places import Places
from core.services.prepaid import Prepaid
from core.services.promises import Promises
from core.services.queues import Nobody, Queues
from core.services.readings import Readings
from core.services.staff import Staff
from core.services.staff_office import StaffOffice
from core.services.tariffs import Tariffs
from core.supply.tables import (
    CrewTaskRow,
    MeterDesiredRow,
    MeterReportedRow,
    RelayCommandEventRow,
    RelayCommandRow,
)
from core.turns.tables import SessionEndRow, TurnRow
from meters.registry import TOKEN_MAKERS
from tests import town
from tests.admin import invoices_town, money_town
from workers.schedule import Schedule

PASSWORD = "une lampe dans la nuit"
SECRET = "a secret of the tests, long enough"
TXN = "CI260310.0912.A00417"
RECEIPT = "R-2026-00000417"
CODE = with_check("204817365")
OWN_REF = "E7Q2M0KXT9B4N6C1WZ5R"
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


class NoReceipts:
    """Knows no payment."""

    def receipt_pdf(self, payment_id: str) -> bytes | None:
        return None


class OneReceipt(NoReceipts):
    def receipt_pdf(self, payment_id: str) -> bytes | None:
        return b"%PDF-1.4 a receipt"


@dataclass(frozen=True)
class Console:
    """`logins`: one per role, named after it, and `finance2`; all with PASSWORD."""

    app: Flask
    staff: Staff
    desk: Desk
    money: MoneyParts
    agents: AgentParts
    links: PhoneLinks
    cases: CaseParts
    code: ShortCodeParts
    emails: Emails
    queues: Queues
    invoices: InvoiceParts


def build(
    db: Database,
    clock: Clock,
    *,
    secure: bool = False,
    receipts: NoReceipts | None = None,
    money: MoneyParts | None = None,
) -> Console:
    """The console as the wiring builds it, with one member of staff per role."""
    staff = Staff(db, clock, SECRET, hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    for role in ("viewer", "office", "finance", "admin"):
        staff.create_user(role, PASSWORD, name=f"Agent {role}", role=role)
    staff.create_user("finance2", PASSWORD, name="Agent finance 2", role="finance")
    desk = Desk(db, clock)
    money = money or money_town.parts(db, clock, staff)
    fast = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    agents = AgentParts(Agents(db, clock, staff.audit, hasher=fast), AgentDesk(db, clock))
    links = PhoneLinks(db, clock, staff.audit)
    cases = CaseParts(Cases(db, clock), Promises(db, clock))
    code = ShortCodeParts(MenuUse(db, clock), _menu_map)
    emails = Emails(db, clock, None, lambda _kind, _subject: None, utility="Lampe")
    queues = queues_of(db, clock, staff, money)
    invoices = invoices_town.parts(db, clock, staff)
    app = app_of(
        clock, staff, desk, money, agents, links, cases, code, emails, queues, invoices, secure=secure,
        receipts=receipts,
    )  # fmt: skip
    return Console(app, staff, desk, money, agents, links, cases, code, emails, queues, invoices)


def queues_of(db: Database, clock: Clock, staff: Staff, money: MoneyParts, *, watch: Watch | None = None) -> Queues:
    return Queues(
        db,
        clock,
        staff.audit,
        plans=Schedule(db, clock).planned,
        watch=watch or Nobody(),
        ask_attempt=money.payments.ask_soon,
        ask_refund=money.refunds.ask_soon,
    )


def metering_of(db: Database, clock: Clock) -> MeteringParts:
    prepaid = Prepaid(db, clock, Sealer(SECRET), TOKEN_MAKERS)
    return MeteringParts(Tariffs(db, clock), prepaid, Readings(db, clock), MeterDesk(db, clock))


def _menu_map(language: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg"><style>text {{ fill: #212121 }}</style><text>{language}</text></svg>'
    )


def app_of(
    clock: Clock,
    staff: Staff,
    desk: Desk,
    money: MoneyParts,
    agents: AgentParts,
    links: PhoneLinks,
    cases: CaseParts,
    code: ShortCodeParts,
    emails: Emails,
    queues: Queues,
    invoices: InvoiceParts,
    *,
    secure: bool = False,
    receipts: NoReceipts | None = None,
) -> Flask:
    app = Flask("console_under_test", static_folder=None)
    app.secret_key = SECRET
    app.register_blueprint(
        admin_blueprint(
            desk=desk,
            staff=staff,
            receipts=receipts or OneReceipt(),
            clock=clock,
            utility="Lampe Électrique du Kasaï",
            secure=secure,
            money=money,
            agents=agents,
            links=links,
            cases=cases,
            emails=emails,
            imports=Imports(desk._db, clock, staff.audit),
            queues=queues,
            invoices=invoices,
            metering=metering_of(desk._db, clock),
            setup=SetupParts(
                Agencies(desk._db, clock, staff.audit),
                Places(desk._db),
                ApiTokens(desk._db, clock, staff.audit),
                StaffOffice(desk._db, clock, staff),
            ),
            dunning=DunningParts(
                Foresight(desk._db, clock),
                DunningDesk(desk._db, clock),
                DunningPolicies(desk._db, clock),
                Billing(desk._db, clock),
            ),
            code=code,
            payroll=PayrollParts(Payroll(desk._db, clock, staff.audit), lambda slip: b"%PDF-1.4 " + slip.encode()),
        )
    )
    return app


def everything_happened(db: Database, clock: FixedClock, *, name: str = "Mbuyi Kalala") -> town.Home:
    """An unpaid invoice, a warning, a cut, a failed try, a payment, a receipt, and the light back on."""
    now = clock.now()
    with db.begin() as session:
        home = town.home(session, name=name, phone="+243815550001")
        invoice = town.invoice(session, home.contract)
        invoice.state, invoice.sent_on = "sent", (now - timedelta(days=15)).date()
        invoice.sent_at = now - timedelta(days=15)
        later = town.invoice(session, home.contract, period="2026-03")
        later.state, later.sent_on, later.sent_at = "sent", now.date(), now - timedelta(hours=3)
        _dunning(session, home, invoice, now)
        _cut(session, home, invoice, now)
        _dial(session, home, now - timedelta(minutes=40))
        _attempt(session, home, now - timedelta(minutes=38), "failed", reason="no_funds", code="INS-2006")
        paid = _attempt(session, home, now - timedelta(minutes=9), "succeeded", own_ref=OWN_REF, txn=TXN)
        _payment(session, home, invoice, paid, now - timedelta(minutes=8))
        _attempt(session, home, now - timedelta(minutes=2), "unknown", is_open=True, own_ref="EUNKNOWN000000000001")
        _light_on(session, home, now - timedelta(minutes=8))
        session.add(
            CaseRow(
                number="1000019", kind="outage", source="ussd", contract_id=home.contract.id, phone=home.phone,
                opened_at=now - timedelta(hours=20), opened_by=home.phone,
            )
        )  # fmt: skip
        session.add(
            PromiseRow(
                contract_id=home.contract.id, state="broken", promised_on=(now - timedelta(days=2)).date(),
                amount_minor=2_850_000, currency="CDF", phone=home.phone, policy_version=1,
                made_at=now - timedelta(days=5), ended_at=now - timedelta(days=1), ended_by="sweep",
            )
        )  # fmt: skip
        session.add(
            OutboxRow(
                kind="notice.send", key="notice:999", queue="notices", body={}, state="dead",
                last_error="the gateway refused the number", available_at=now, created_at=now,
            )
        )  # fmt: skip
        session.add(
            OutboxRow(
                kind="attempt.query", key="query:1", queue="push", body={}, available_at=now - timedelta(minutes=5),
                created_at=now,
            )
        )  # fmt: skip
    return home


def _notice(
    session: Session, home: town.Home, kind: str, body: str, at: datetime, *, state: str = "delivered"
) -> NoticeRow:
    row = NoticeRow(
        key=f"{kind}:{new_uuid()}", kind=kind, recipient=home.phone, language="fr", body=body, segments=1, state=state,
        customer_id=home.customer.id, contract_id=home.contract.id, gateway="africastalking", zone=home.site.time_zone,
        gateway_ref=f"ATXid_{new_uuid()[:8]}", created_at=at, not_before=at, expires_at=at + timedelta(days=1),
        sent_at=at + timedelta(seconds=4), delivered_at=at + timedelta(seconds=9) if state == "delivered" else None,
    )  # fmt: skip
    session.add(row)
    session.flush()
    session.add(
        DeliveryReportRow(
            gateway="africastalking", gateway_ref=row.gateway_ref or "", status="Success" if state == "delivered" else
            "Failed", reason="" if state == "delivered" else "AbsentSubscriber", received_at=at + timedelta(seconds=9),
            notice_id=row.id,
        )
    )  # fmt: skip
    return row


def _dunning(session: Session, home: town.Home, invoice: InvoiceRow, now: datetime) -> None:
    steps = (
        ("sent", 15, "invoice.sent", "Facture T-000001: 28 500 FC. Payez au *123#."),
        ("reminder", 12, "dunning.reminder", "Rappel: 28 500 FC dus sur le compte 100 000 001 8. Payez au *123#."),
        ("warning", 8, "dunning.warning", "Sans paiement, le courant sera coupe a partir du 09/03. Payez au *123#."),
    )
    for step, days, kind, body in steps:
        at = now - timedelta(days=days)
        notice = _notice(session, home, kind, body, at)
        session.add(
            ReminderRow(
                invoice_id=invoice.id, cycle=1, step=step, policy_version=1, created_at=at, notice_id=notice.id,
                delivered_at=at + timedelta(seconds=9), evidence="report",
            )
        )  # fmt: skip
    session.add(
        DunningDecisionRow(
            contract_id=home.contract.id, at=now - timedelta(days=1), policy_version=1, cause="cut_batch",
            off_due=True, supply="off",
            reasons=[{"code": "small_balance", "invoice_id": 2, "until": "2026-03-24T08:00:00+00:00"}],
            facts={"balance_minor": 2_850_000, "invoices": [{"number": "T-000001", "days": 14}], "holds": []},
        )
    )  # fmt: skip


def _command(session: Session, home: town.Home, at: datetime, version: int, supply: str, reason: str) -> None:
    command = RelayCommandRow(
        id=new_uuid(), meter_id=home.meter.id, contract_id=home.contract.id, version=version, supply=supply,
        reason=reason, state="applied", attempts=1, not_before=at, not_after=at + timedelta(days=3),
        created_by="system", created_at=at,
        sent_at=at + timedelta(seconds=1), ended_at=at + timedelta(seconds=3), hold_reasons=[],
    )  # fmt: skip
    session.add(command)
    session.flush()
    life = ("queued", "publishing", "sent", "acknowledged", "applied")
    for count, (before, after) in enumerate(zip(("", *life), life, strict=False)):
        session.add(
            RelayCommandEventRow(
                command_id=command.id, at=at + timedelta(milliseconds=700 * count), from_state=before, to_state=after,
                actor="bridge", detail="",
            )
        )  # fmt: skip


def _cut(session: Session, home: town.Home, invoice: InvoiceRow, now: datetime) -> None:
    _command(session, home, now - timedelta(days=1), 1, "off", "nonpayment")


def _light_on(session: Session, home: town.Home, at: datetime) -> None:
    _command(session, home, at, 2, "on", "paid")
    session.add(
        MeterDesiredRow(meter_id=home.meter.id, version=2, supply="on", reason="paid", set_by="system", set_at=at)
    )
    session.add(
        MeterReportedRow(
            meter_id=home.meter.id, version=1, supply="off", relay="open", online=False, at=at - timedelta(hours=2),
            raw={},
        )
    )  # fmt: skip
    session.add(
        CrewTaskRow(
            kind="relay_fault", key=f"{home.meter.id}:2", meter_id=home.meter.id, contract_id=home.contract.id,
            detail="The meter has not confirmed for ten minutes.", created_at=at + timedelta(minutes=7),
        )
    )  # fmt: skip


def _dial(session: Session, home: town.Home, at: datetime) -> None:
    screens = (
        (
            "",
            "home",
            "Mbuyi K.\nCompte 100 000 001 8\nA payer: 28 500 FC\nCourant coupe\n1. Payer\n2. Factures\n3. Aide",
        ),
        ("1", "pay", "Payer 28 500 FC\navec M-Pesa 081***0001?\n1. Oui\n2. Autre montant\n0. Retour"),
        ("1", "done", "Merci. Tapez votre code M-Pesa quand le telephone le demande."),
    )
    for position, (typed, state, screen) in enumerate(screens):
        session.add(
            TurnRow(
                gateway="africastalking", session_id="ATUid_1", phone=home.phone, service_code="*123#", day=at.date(),
                position=position, state=state, prefix_length=position, prefix_hash=f"{position}" * 8, typed=typed,
                screen=screen, ended=state == "done", contract_id=home.contract.id,
                at=at + timedelta(seconds=11 * position), network="63001", language="fr",
            )
        )  # fmt: skip
    session.add(
        SessionEndRow(
            gateway="africastalking", session_id="ATUid_1", phone=home.phone, service_code="*123#", day=at.date(),
            network="63001", language="fr", state="done", status="reached_end", reason="", how="reached_end",
            duration_ms=24_400, hops=3, at=at + timedelta(seconds=23),
        )
    )  # fmt: skip


def _attempt(
    session: Session,
    home: town.Home,
    at: datetime,
    state: str,
    *,
    is_open: bool = False,
    reason: str | None = None,
    code: str | None = None,
    own_ref: str | None = None,
    txn: str | None = None,
) -> AttemptRow:
    row = AttemptRow(
        id=new_uuid(), own_ref=own_ref or f"E{new_uuid().replace('-', '')[:19].upper()}", wallet="vodacom",
        brand="mpesa", payer_phone=home.phone, asked_by_phone=home.phone, language="fr",
        target_account_id=_account(session, "receivable", str(home.contract.id)).id, contract_id=home.contract.id,
        owed_minor=2_850_000, owed_currency="CDF", charged_minor=2_850_000, charged_currency="CDF", state=state,
        is_open=is_open, reason=reason, code=code, provider_txn_id=txn, origin="ussd", created_at=at,
        submitted_at=at + timedelta(seconds=3), queries=0,
    )  # fmt: skip
    session.add(row)
    session.flush()
    for count, (before, after) in enumerate((("created", "submitting"), ("submitting", "pending"), ("pending", state))):
        session.add(
            AttemptEventRow(
                attempt_id=row.id, at=at + timedelta(seconds=4 * count + 3), from_state=before, to_state=after,
                by="worker", detail="",
            )
        )  # fmt: skip
    session.add(
        WalletPostRow(
            attempt_id=row.id, number=1, started_at=at + timedelta(seconds=3), ended_at=at + timedelta(seconds=11),
            outcome="accepted", code=code or "INS-0",
        )
    )  # fmt: skip
    return row


def _account(session: Session, code: str, owner: str) -> AccountRow:
    row = session.query(AccountRow).filter_by(code=code, owner=owner, currency="CDF").first()
    if row is None:
        row = AccountRow(code=code, owner=owner, currency="CDF", balance_minor=None)
        session.add(row)
        session.flush()
    return row


def _payment(session: Session, home: town.Home, invoice: InvoiceRow, attempt: AttemptRow, at: datetime) -> None:
    payment = PaymentRow(
        id=new_uuid(), wallet="vodacom", provider_txn_id=TXN, attempt_id=attempt.id, contract_id=home.contract.id,
        currency="CDF", amount_minor=3_000_000, payer_phone=home.phone, paid_at=at, received_at=at, found_by="callback",
        receipt_number=RECEIPT, verification_code=CODE,
    )  # fmt: skip
    journal = JournalRow(id=new_uuid(), kind="wallet_money", key=f"pay:{payment.id}", digest="x", at=at, recorded_at=at)
    session.add_all((payment, journal))
    session.flush()
    clearing = _account(session, "wallet_clearing", "vodacom")
    credit = _account(session, "credit", str(home.contract.id))
    credit.balance_minor = 150_000
    owed = _account(session, "receivable", str(home.contract.id))
    for target, minor, invoice_id in ((owed, 2_850_000, invoice.id), (credit, 150_000, None)):
        session.add(
            TransferRow(
                id=new_uuid(), journal_id=journal.id, debit_account_id=clearing.id, credit_account_id=target.id,
                currency="CDF", amount_minor=minor, invoice_id=invoice_id, payment_id=payment.id, at=at,
            )
        )  # fmt: skip
    invoice.paid_minor = invoice.total_minor
    _notice(session, home, "payment.receipt", "Recu 30 000 FC, compte 100 000 001 8. Merci.", at, state="failed")
