"""Payments: money that came; and cash or bank money that is declared and confirmed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from channels.api import paging
from channels.api.fields import (
    JSON_INTEGER,
    PLAIN,
    AccountNumber,
    Amount,
    Asked,
    CurrencyCode,
    Day,
    Id,
    Listed,
    Moment,
    Nothing,
    PageAsked,
    Uuid,
)
from channels.api.operation import AnyOperation, Call, Operation, Pdf
from channels.api.parts import Receipts
from channels.api.problems import DOCUMENT_MISSING, NOT_FOUND, STATE_CONFLICT, Refusal
from core.api_access.rules import Scope
from core.kernel.money import Money
from core.services.counter import Counter, Declaration, NoSuchAccount, NoSuchPayment
from core.services.register import Record, Register, Sought

_TAG = "Payments"
_DECLARED, _BOOKED = "declared_payments", "payments"


class Payment(BaseModel):
    """Money that came. `declared`: cash or bank money nobody has confirmed; it has no receipt and pays nothing yet.
    `in_suspense`: booked, and nobody knows yet for whom. `reversed`: the operator took it back. `wallet`: a wallet's
    name, `cash`, `bank` or `agent`."""

    id: str
    state: Literal["declared", "confirmed", "in_suspense", "reversed"]
    wallet: str
    amount: Amount
    contract_id: int | None
    account_number: str | None
    reference: str | None
    provider_txn_id: str | None
    paid_at: datetime | None
    received_at: datetime
    receipt_number: str | None
    verification_code: str | None
    reversed_at: datetime | None


class PaymentList(Listed[Payment]):
    pass


class PaymentsAsked(PageAsked):
    """`state=declared` lists what waits for its confirmation; without it: what is booked, in the order it came."""

    state: Literal["declared"] | None = None
    contract_id: Id | None = None
    account_number: AccountNumber | None = None
    wallet: Annotated[str, Field(pattern=r"^[a-z_]{1,16}$")] | None = None
    since: Moment | None = None
    until: Moment | None = None


class ByUuid(Asked):
    id: Uuid


class AmountAsked(Asked):
    """Whole minor units: 28 500 francs are 2 850 000. Francs are charged whole."""

    minor: Annotated[int, Field(ge=1, le=10**13), JSON_INTEGER]
    currency: CurrencyCode


class NewPayment(Asked):
    """`reference`: the number of the bank's statement (bank money has one, and counts once per number), or the number
    of the counter's slip."""

    account_number: AccountNumber
    way: Literal["cash", "bank"]
    amount: AmountAsked
    reference: Annotated[str, Field(min_length=1, max_length=40, pattern=PLAIN)] | None = None
    paid_on: Day | None = None


_NOT_BOOKED = dict.fromkeys(("provider_txn_id", "paid_at", "receipt_number", "verification_code", "reversed_at"))


def _shown(record: Record) -> Payment:
    amount = Amount.of(record["amount_minor"], record["currency"])
    return Payment.model_validate({**_NOT_BOOKED, **record, "amount": amount})


def _found(register: Register, payment_id: str) -> Payment:
    found = register.payment(payment_id)
    if found is None:
        raise Refusal(NOT_FOUND)
    return _shown(found)


def operations(register: Register, counter: Counter, receipts: Receipts) -> list[AnyOperation]:
    return [*_reading(register), _receipt(register, receipts), *_counting(register, counter)]


def _reading(register: Register) -> list[AnyOperation]:
    def every(call: Call[Nothing, PaymentsAsked, Nothing]) -> PaymentList:
        asked = call.query
        sought = Sought(asked.contract_id, asked.account_number, asked.wallet, asked.since, asked.until)
        if asked.state == "declared":
            page = register.declared_payments(paging.where(asked, of=_DECLARED), sought)
            return PaymentList.model_validate(paging.listed(page, _shown, of=_DECLARED))
        page = register.payments(paging.where(asked, of=_BOOKED, key=(datetime, str)), sought)
        return PaymentList.model_validate(paging.listed(page, _shown, of=_BOOKED))

    def one(call: Call[ByUuid, Nothing, Nothing]) -> Payment:
        return _found(register, call.path.id)

    return [
        Operation(
            id="listPayments",
            method="GET",
            path="/payments",
            tag=_TAG,
            summary="Money that came, in the order it came; or what waits to be confirmed",
            scope=Scope.PAYMENTS_READ,
            ids=Nothing,
            query=PaymentsAsked,
            body=Nothing,
            answer=PaymentList,
            carry_out=every,
        ),
        Operation(
            id="getPayment",
            method="GET",
            path="/payments/{id}",
            tag=_TAG,
            summary="One payment",
            scope=Scope.PAYMENTS_READ,
            ids=ByUuid,
            query=Nothing,
            body=Nothing,
            answer=Payment,
            carry_out=one,
        ),
    ]


def _receipt(register: Register, receipts: Receipts) -> AnyOperation:
    def get(call: Call[ByUuid, Nothing, Nothing]) -> Pdf:
        payment = _found(register, call.path.id)
        content = receipts.receipt_pdf(payment.id)
        if content is None:
            raise Refusal(DOCUMENT_MISSING, "Money has a receipt once it is confirmed and placed on a contract.")
        return Pdf(content, f"{payment.receipt_number or payment.id}.pdf".lower())

    return Operation(
        id="getReceipt",
        method="GET",
        path="/payments/{id}/receipt",
        tag=_TAG,
        summary="The receipt as PDF",
        scope=Scope.PAYMENTS_READ,
        ids=ByUuid,
        query=Nothing,
        body=Nothing,
        answer=None,
        carry_out=get,
        problems=(DOCUMENT_MISSING,),
    )


def _counting(register: Register, counter: Counter) -> list[AnyOperation]:
    def declare(call: Call[Nothing, Nothing, NewPayment]) -> Payment:
        said = call.body
        declaration = Declaration(
            said.account_number,
            said.way,
            Money(said.amount.minor, said.amount.currency),
            said.reference,
            said.paid_on,
        )
        try:
            payment_id = counter.declare(call.new_id(), declaration, by=call.actor)
        except NoSuchAccount:
            raise Refusal(NOT_FOUND, "No active contract has this account number.") from None
        return _found(register, payment_id)

    def confirm(call: Call[ByUuid, Nothing, Nothing]) -> Payment:
        try:
            counter.confirm(call.path.id, by=call.actor)
        except NoSuchPayment:
            raise Refusal(NOT_FOUND) from None
        return _found(register, call.path.id)

    return [
        Operation(
            id="declarePayment",
            method="POST",
            path="/payments",
            tag=_TAG,
            summary="Declare cash or bank money that came",
            description="Nothing is booked until it is confirmed.",
            scope=Scope.PAYMENTS_DECLARE,
            ids=Nothing,
            query=Nothing,
            body=NewPayment,
            answer=Payment,
            carry_out=declare,
            status=201,
            key_needed=True,
            problems=(NOT_FOUND, STATE_CONFLICT),
        ),
        Operation(
            id="confirmPayment",
            method="POST",
            path="/payments/{id}/confirm",
            tag=_TAG,
            summary="Confirm declared cash or bank money: it is booked",
            description=(
                "It pays the oldest invoices first; the rest is credit. The token's name stands in the journal. "
                "A wallet's money confirms itself."
            ),
            scope=Scope.PAYMENTS_CONFIRM,
            ids=ByUuid,
            query=Nothing,
            body=Nothing,
            answer=Payment,
            carry_out=confirm,
            problems=(STATE_CONFLICT,),
        ),
    ]
