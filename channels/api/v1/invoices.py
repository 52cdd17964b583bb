"""Invoices: read them, have their PDF made, validate and send them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Literal

from pydantic import BaseModel

from channels.api import paging
from channels.api.fields import AccountNumber, Amount, ById, Id, Listed, Nothing, PageAsked, Period
from channels.api.operation import AnyOperation, Call, Operation, Pdf
from channels.api.problems import DOCUMENT_MISSING, NOT_FOUND, STATE_CONFLICT, Refusal
from channels.api.v1 import jobs
from core.api_access.rules import Scope
from core.kernel.errors import StateConflict
from core.services.billing import Billing
from core.services.invoice_papers import InvoicePapers
from core.services.register import Record, Register

_TAG = "Invoices"
# Actor, act, subject, detail.
Note = Callable[[str, str, str, str], None]
State = Literal["draft", "validated", "sent", "partially_paid", "paid", "cancelled"]


class Invoice(BaseModel):
    """`partially_paid` and `paid` follow from what was paid; they are never set. A draft has a number of its own kind:
    the one of the series comes when it is validated."""

    id: Id
    number: str
    contract_id: int
    account_number: str
    period: str
    state: State
    total: Amount
    tax: Amount
    paid: Amount
    due: Amount
    issued_on: date
    sent_on: date | None
    disputed: bool
    estimated: bool


class InvoiceLine(BaseModel):
    """`levy`: which tax this line is; null for what is charged."""

    position: int
    label: str
    quantity: str
    amount: Amount
    levy: str | None


class InvoiceWithLines(Invoice):
    lines: list[InvoiceLine]


class InvoiceList(Listed[Invoice]):
    pass


class InvoicesAsked(PageAsked):
    contract_id: Id | None = None
    account_number: AccountNumber | None = None
    state: State | None = None
    period: Period | None = None


def _amounts(record: Record) -> dict[str, Amount]:
    currency, total, paid = record["currency"], record["total_minor"], record["paid_minor"]
    owed = total - paid if record["state"] in ("sent", "partially_paid") else 0
    return {
        "total": Amount.of(total, currency),
        "tax": Amount.of(record["tax_minor"], currency),
        "paid": Amount.of(paid, currency),
        "due": Amount.of(owed, currency),
    }


def _shown(record: Record) -> Invoice:
    return Invoice.model_validate({**record, **_amounts(record)})


def _shown_whole(record: Record) -> InvoiceWithLines:
    lines = [
        InvoiceLine.model_validate({**line, "amount": Amount.of(line["amount_minor"], record["currency"])})
        for line in record["lines"]
    ]
    return InvoiceWithLines.model_validate({**record, **_amounts(record), "lines": lines})


def _found(register: Register, invoice_id: int) -> Record:
    found = register.invoice(invoice_id)
    if found is None:
        raise Refusal(NOT_FOUND)
    return found


def operations(register: Register, billing: Billing, papers: InvoicePapers, note: Note) -> list[AnyOperation]:
    """`note`: actor, act, subject, detail, for the audit log."""
    return [*_reading(register), *_papers(register, papers), *_issuing(register, billing, note)]


def _reading(register: Register) -> list[AnyOperation]:
    def every(call: Call[Nothing, InvoicesAsked, Nothing]) -> InvoiceList:
        asked = call.query
        page = register.invoices(
            paging.where(asked, of="invoices"),
            contract_id=asked.contract_id,
            account_number=asked.account_number,
            state=asked.state,
            period=asked.period,
        )
        return InvoiceList.model_validate(paging.listed(page, _shown, of="invoices"))

    def one(call: Call[ById, Nothing, Nothing]) -> InvoiceWithLines:
        return _shown_whole(_found(register, call.path.id))

    return [
        Operation(
            id="listInvoices",
            method="GET",
            path="/invoices",
            tag=_TAG,
            summary="Invoices, oldest first",
            scope=Scope.INVOICES_READ,
            ids=Nothing,
            query=InvoicesAsked,
            body=Nothing,
            answer=InvoiceList,
            carry_out=every,
        ),
        Operation(
            id="getInvoice",
            method="GET",
            path="/invoices/{id}",
            tag=_TAG,
            summary="One invoice with its lines",
            scope=Scope.INVOICES_READ,
            ids=ById,
            query=Nothing,
            body=Nothing,
            answer=InvoiceWithLines,
            carry_out=one,
        ),
    ]


def _papers(register: Register, papers: InvoicePapers) -> list[AnyOperation]:
    def get(call: Call[ById, Nothing, Nothing]) -> Pdf:
        found = _found(register, call.path.id)
        content = papers.pdf(call.path.id)
        if content is None:
            raise Refusal(DOCUMENT_MISSING, "Ask for it with POST on the same path, and follow the job.")
        return Pdf(content, f"{found['number'].lower()}.pdf")

    def make(call: Call[ById, Nothing, Nothing]) -> jobs.Job:
        job = papers.request(call.path.id)
        if job is None:
            raise Refusal(NOT_FOUND)
        return jobs.shown(job)

    return [
        Operation(
            id="getInvoicePdf",
            method="GET",
            path="/invoices/{id}/pdf",
            tag=_TAG,
            summary="The invoice as PDF",
            scope=Scope.INVOICES_READ,
            ids=ById,
            query=Nothing,
            body=Nothing,
            answer=None,
            carry_out=get,
            problems=(DOCUMENT_MISSING,),
        ),
        Operation(
            id="makeInvoicePdf",
            method="POST",
            path="/invoices/{id}/pdf",
            tag=_TAG,
            summary="Have the PDF made; gives a job to follow",
            scope=Scope.INVOICES_ISSUE,
            ids=ById,
            query=Nothing,
            body=Nothing,
            answer=jobs.Job,
            carry_out=make,
            status=202,
        ),
    ]


def _issuing(register: Register, billing: Billing, note: Note) -> list[AnyOperation]:
    def step(act: str, do: Callable[[int, str], object]) -> Callable[[Call[ById, Nothing, Nothing]], InvoiceWithLines]:
        def carry_out(call: Call[ById, Nothing, Nothing]) -> InvoiceWithLines:
            found = _found(register, call.path.id)
            subject, total = f"invoice {call.path.id}", Amount.of(found["total_minor"], found["currency"]).text
            # As in the console: written down before it is done, and a refusal after it.
            note(call.actor, act, subject, total)
            try:
                do(call.path.id, call.actor)
            except StateConflict as error:
                note(call.actor, f"{act}.refused", subject, str(error))
                raise
            return _shown_whole(_found(register, call.path.id))

        return carry_out

    def declared(
        name: str, act: str, summary: str, description: str, do: Callable[[int, str], object]
    ) -> Operation[ById, Nothing, Nothing]:
        return Operation(
            id=f"{name}Invoice",
            method="POST",
            path=f"/invoices/{{id}}/{name}",
            tag=_TAG,
            summary=summary,
            description=description,
            scope=Scope.INVOICES_ISSUE,
            ids=ById,
            query=Nothing,
            body=Nothing,
            answer=InvoiceWithLines,
            carry_out=step(act, do),
            problems=(STATE_CONFLICT,),
        )

    return [
        declared(
            "validate",
            "invoice.validated",
            "Validate a draft",
            "It gets its number and is never edited afterwards.",
            lambda invoice_id, _by: billing.validate_invoice(invoice_id),
        ),
        declared(
            "send",
            "invoice.sent",
            "Send a validated invoice",
            "It is owed from now on: credit is used on it, reminders count from today, the customer is told.",
            lambda invoice_id, by: billing.send_invoice(invoice_id, by=by),
        ),
    ]
