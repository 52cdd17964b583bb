"""Money nobody could place: listed with proposals, put on a contract by two people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.billing.tables import InvoiceRow
from core.customers.tables import ContractRow, CustomerRow, PhoneLinkRow
from core.i18n import N_
from core.kernel.money import Money
from core.payments.tables import AttemptRow, PaymentRow
from core.phone_numbers import parse_e164
from core.reconciliation import proposals, queries
from core.reconciliation.errors import ReconciliationRefused
from core.reconciliation.model import AgeBand, Placed, Placing, SuspenseItem
from core.reconciliation.proposals import Lead
from core.reconciliation.tables import SuspensePlacingRow
from core.services.reconciliation.context import Context
from core.settlement import post
from core.settlement.events import SuspensePlaced

log = structlog.get_logger(__name__)

BANDS = (0, 1, 7, 30, 90)
_CONTRACTS_OF_ONE = 5
NO_LONGER = N_("This money does not wait any more.")


def _waits() -> ColumnElement[bool]:
    return and_(PaymentRow.in_suspense.is_(True), PaymentRow.reversed_at.is_(None))


def items(ctx: Context, limit: int, after: str | None, wallet: str | None) -> Sequence[SuspenseItem]:
    """See `Reconciliation.suspense`."""
    with ctx.db.read() as session:
        wanted = select(PaymentRow).where(_waits()).order_by(PaymentRow.received_at, PaymentRow.id).limit(limit)
        if wallet is not None:
            wanted = wanted.where(PaymentRow.wallet == wallet)
        last = session.get(PaymentRow, after) if after else None
        if last is not None:
            wanted = wanted.where(
                or_(
                    PaymentRow.received_at > last.received_at,
                    and_(PaymentRow.received_at == last.received_at, PaymentRow.id > last.id),
                )
            )
        return _items(session, session.scalars(wanted).all(), ctx.clock.now())


def item(ctx: Context, payment_id: str) -> SuspenseItem | None:
    """See `Reconciliation.suspense_item`."""
    with ctx.db.read() as session:
        row = session.scalar(select(PaymentRow).where(PaymentRow.id == payment_id, _waits()))
        found = _items(session, [row], ctx.clock.now()) if row else []
        return found[0] if found else None


def _items(session: Session, rows: Sequence[PaymentRow], now: datetime) -> list[SuspenseItem]:
    waiting = queries.waiting_in_suspense(session, [row.id for row in rows])
    attempts = {
        attempt.id: attempt
        for attempt in session.scalars(
            select(AttemptRow).where(AttemptRow.id.in_([row.attempt_id for row in rows if row.attempt_id]))
        )
    }
    asked = _asked(session, [row.id for row in rows])
    leads = _leads(session, rows, attempts)
    found = []
    for row in rows:
        minor = waiting.get(row.id, 0)
        if minor <= 0:
            continue
        attempt = attempts.get(row.attempt_id or "")
        found.append(
            SuspenseItem(
                payment_id=row.id,
                receipt_number=row.receipt_number,
                wallet=row.wallet,
                amount=Money(minor, row.currency),
                reference=row.reference,
                payer=row.payer_phone,
                provider_txn_id=row.provider_txn_id,
                received_at=row.received_at,
                age_days=(now - row.received_at).days,
                flag=attempt.flag if attempt else None,
                proposals=proposals.ranked(leads.get(row.id, ())),
                asked=asked.get(row.id),
            )
        )
    return found


def _asked(session: Session, payment_ids: Sequence[str]) -> dict[str, Placing]:
    rows = session.execute(
        select(SuspensePlacingRow, ContractRow.account_number, CustomerRow.name)
        .join(ContractRow, ContractRow.id == SuspensePlacingRow.contract_id)
        .join(CustomerRow, CustomerRow.id == ContractRow.customer_id)
        .where(SuspensePlacingRow.payment_id.in_(payment_ids), SuspensePlacingRow.is_open.is_(True))
    )
    return {
        row.payment_id: Placing(row.contract_id, account, name, row.asked_by, row.asked_at, row.note)
        for row, account, name in rows
    }


# -- proposals, all of a page in a few reads


class _Leads:
    """Reasons by payment; the contracts they name are read together."""

    def __init__(self, session: Session, rows: Sequence[PaymentRow]) -> None:
        self._session = session
        self._currency = {row.id: row.currency for row in rows}
        self.found: dict[str, list[Lead]] = defaultdict(list)

    def add(self, column: ColumnElement[Any], wanted: dict[object, list[tuple[str, str]]]) -> None:
        """`wanted`: value of `column` → (payment, why) of those that name it."""
        if not wanted:
            return
        rows = self._session.execute(
            select(
                column, ContractRow.id, ContractRow.account_number, ContractRow.currency, ContractRow.state,
                CustomerRow.name,
            )
            .select_from(ContractRow)
            .join(CustomerRow, CustomerRow.id == ContractRow.customer_id)
            .where(column.in_(list(wanted)))
            .order_by(ContractRow.state, ContractRow.id)
        )  # fmt: skip
        taken: dict[tuple[str, object], int] = defaultdict(int)
        for value, contract_id, account, currency, state, name in rows:
            for payment_id, why in wanted.get(value, ()):
                taken[payment_id, value] += 1
                if taken[payment_id, value] <= _CONTRACTS_OF_ONE:
                    fits = state == "active" and currency == self._currency[payment_id]
                    self.found[payment_id].append(Lead(contract_id, account, name, why, fits))


def _leads(session: Session, rows: Sequence[PaymentRow], attempts: dict[str, AttemptRow]) -> dict[str, list[Lead]]:
    leads = _Leads(session, rows)
    accounts: dict[object, list[tuple[str, str]]] = defaultdict(list)
    customers: dict[object, list[tuple[str, str]]] = defaultdict(list)
    contracts: dict[object, list[tuple[str, str]]] = defaultdict(list)
    for row in rows:
        for reading in proposals.readings(row.reference):
            accounts[reading.account].append((row.id, reading.why))
        number = proposals.customer_number(row.reference)
        if number is not None:
            customers[number].append((row.id, proposals.CUSTOMER))
        attempt = attempts.get(row.attempt_id or "")
        for contract_id in {row.contract_id, attempt.contract_id if attempt else None} - {None}:
            contracts[contract_id].append((row.id, proposals.ASKED))
    for phone, payments in _phones(rows).items():
        for customer_id in session.scalars(select(PhoneLinkRow.customer_id).where(PhoneLinkRow.phone == phone)):
            customers[customer_id] += payments
    for payment_id, contract_id in _by_invoice(session, rows):
        contracts[contract_id].append((payment_id, proposals.INVOICE))
    for payment_id, contract_id in _paid_before(session, rows):
        contracts[contract_id].append((payment_id, proposals.PAID_BEFORE))
    leads.add(ContractRow.account_number.expression, accounts)
    leads.add(ContractRow.customer_id.expression, customers)
    leads.add(ContractRow.id.expression, contracts)
    return leads.found


def _phones(rows: Iterable[PaymentRow]) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in rows:
        for text, why in ((row.payer_phone, proposals.PHONE), (row.reference, proposals.PHONE_TYPED)):
            phone = _phone(text)
            if phone is not None:
                found[phone].append((row.id, why))
    return found


def _phone(text: str | None) -> str | None:
    """Operators write numbers with the country's code and no plus."""
    if not text:
        return None
    return parse_e164(f"+{text}") if text.isdigit() and len(text) > 10 else parse_e164(text)


def _by_invoice(session: Session, rows: Sequence[PaymentRow]) -> list[tuple[str, int]]:
    references = {row.reference.strip().upper(): row.id for row in rows if row.reference and len(row.reference) >= 4}
    if not references:
        return []
    found = session.execute(
        select(InvoiceRow.number, InvoiceRow.contract_id).where(InvoiceRow.number.in_(list(references)))
    )
    return [(references[number], contract_id) for number, contract_id in found]


def _paid_before(session: Session, rows: Sequence[PaymentRow]) -> list[tuple[str, int]]:
    """Where the same payer's money went before; a masked number is nobody."""
    payers: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row.payer_phone and row.payer_phone.lstrip("+").isdigit():
            payers[row.payer_phone].append(row.id)
    if not payers:
        return []
    found = session.execute(
        select(PaymentRow.payer_phone, PaymentRow.contract_id)
        .where(PaymentRow.payer_phone.in_(list(payers)), PaymentRow.contract_id.is_not(None), ~_waits())
        .distinct()
    )
    return [(payment, contract) for phone, contract in found if contract for payment in payers[str(phone)]]


# -- placing


def place(ctx: Context, payment_id: str, contract_id: int, by: str, note: str) -> Placed:
    """See `Reconciliation.place`."""
    try:
        return _place(ctx, payment_id, contract_id, by, note)
    except IntegrityError:
        # Two people at the same moment: the second one finds the first one's wish.
        return _place(ctx, payment_id, contract_id, by, note)


def _place(ctx: Context, payment_id: str, contract_id: int, by: str, note: str) -> Placed:
    now = ctx.clock.now()
    with ctx.db.begin() as session:
        wish = _open_wish(session, payment_id)
        payment = session.get(PaymentRow, payment_id)
        if payment is None:
            raise ReconciliationRefused(N_("There is no such payment."))
        if not payment.in_suspense or payment.reversed_at is not None:
            if payment.contract_id == contract_id and payment.reversed_at is None:
                return Placed(payment_id, contract_id, done=True)
            raise ReconciliationRefused(NO_LONGER)
        amount = Money(queries.waiting_in_suspense(session, [payment_id]).get(payment_id, 0), payment.currency)
        _check_place(session, amount, contract_id)
        if wish is None:
            if not note.strip():
                raise ReconciliationRefused(N_("Say in a note why."))
            session.add(
                SuspensePlacingRow(
                    payment_id=payment_id,
                    contract_id=contract_id,
                    amount_minor=amount.minor,
                    note=note.strip()[:200],
                    asked_by=by[:40],
                    asked_at=now,
                )
            )
            session.flush()
            return Placed(payment_id, contract_id, done=False)
        if wish.contract_id != contract_id:
            raise ReconciliationRefused(
                N_("{person} wants this money on another contract. Withdraw that first."), person=wish.asked_by
            )
        if wish.asked_by == by[:40]:
            return Placed(payment_id, contract_id, done=False)
        wish.is_open, wish.decided_by, wish.decided_at = False, by[:40], now
        event = SuspensePlaced(
            key=f"placed:{payment_id}:{wish.id}",
            actor=by,
            memo=wish.note,
            payment_id=payment_id,
            wallet=payment.wallet,
            contract_id=contract_id,
            amount=amount,
        )
        post(session, event, clock=ctx.clock)
    log.info("suspense.placed", payment=payment_id, contract=contract_id, asked_by=wish.asked_by, by=by)
    return Placed(payment_id, contract_id, done=True)


def _open_wish(session: Session, payment_id: str) -> SuspensePlacingRow | None:
    return session.scalar(
        select(SuspensePlacingRow)
        .where(SuspensePlacingRow.payment_id == payment_id, SuspensePlacingRow.is_open.is_(True))
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )


def _check_place(session: Session, amount: Money, contract_id: int) -> None:
    contract = session.get(ContractRow, contract_id)
    if contract is None:
        raise ReconciliationRefused(N_("There is no such contract."))
    if amount.minor <= 0:
        raise ReconciliationRefused(NO_LONGER)
    if contract.currency != amount.currency:
        raise ReconciliationRefused(
            N_("The contract is in {theirs}, the money in {ours}."), theirs=contract.currency, ours=amount.currency
        )


def withdraw(ctx: Context, payment_id: str, by: str) -> None:
    """See `Reconciliation.withdraw_placing`. Nothing to withdraw is no fault."""
    with ctx.db.begin() as session:
        wish = _open_wish(session, payment_id)
        if wish is not None:
            wish.is_open, wish.withdrawn = False, True
            wish.decided_by, wish.decided_at = by[:40], ctx.clock.now()


def ageing(ctx: Context) -> Sequence[AgeBand]:
    """See `Reconciliation.ageing`."""
    now = ctx.clock.now()
    sums: dict[tuple[str, str, int], tuple[int, int]] = {}
    with ctx.db.snapshot() as session:
        rows = session.scalars(select(PaymentRow).where(_waits())).all()
        waiting = queries.waiting_in_suspense(session, [row.id for row in rows])
    for row in rows:
        minor = waiting.get(row.id, 0)
        if minor > 0:
            band = max(from_days for from_days in BANDS if from_days <= max(0, (now - row.received_at).days))
            count, total = sums.get((row.wallet, row.currency, band), (0, 0))
            sums[row.wallet, row.currency, band] = (count + 1, total + minor)
    return [AgeBand(*key, count, minor) for key, (count, minor) in sorted(sums.items())]
