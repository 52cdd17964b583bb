"""Contracts: what is owed, is owed here."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from channels.api import paging
from channels.api.fields import (
    JSON_INTEGER,
    AccountNumber,
    Amount,
    Asked,
    ById,
    Day,
    Id,
    Listed,
    MeterId,
    Nothing,
    PageAsked,
)
from channels.api.operation import AnyOperation, Call, Operation
from channels.api.problems import NOT_FOUND, STATE_CONFLICT, Refusal
from core.api_access.rules import Scope
from core.services.enrolment import Enrolment, NewContract, Unknown
from core.services.register import Record, Register

_TAG = "Contracts"


class Contract(BaseModel):
    """`due`: what is owed on it now; `credit`: what was paid beyond that."""

    id: Id
    account_number: str
    customer_id: int
    site_id: int
    meter_id: str | None
    kind: Literal["monthly", "consumption", "flat", "prepaid"]
    currency: str
    tariff_id: int | None
    state: Literal["active", "closed"]
    opened_on: date
    due: Amount
    credit: Amount


class ContractList(Listed[Contract]):
    pass


class ContractsAsked(PageAsked):
    customer_id: Id | None = None
    account_number: AccountNumber | None = None
    meter_id: MeterId | None = None
    state: Literal["active", "closed"] | None = None


class NewContractAsked(Asked):
    """The account number is made here. `opened_on`: today, if left out. Consumption and prepaid have a meter."""

    customer_id: Annotated[int, Field(ge=1, le=2**53 - 1), JSON_INTEGER]
    site_id: Annotated[int, Field(ge=1, le=2**53 - 1), JSON_INTEGER]
    meter_id: MeterId | None = None
    kind: Literal["monthly", "consumption", "flat", "prepaid"]
    currency: Literal["CDF", "USD"]
    tariff_id: Annotated[int, Field(ge=1, le=2**53 - 1), JSON_INTEGER] | None = None
    opened_on: Day | None = None


def _shown(record: Record) -> Contract:
    currency = record["currency"]
    amounts = {"due": Amount.of(record["due_minor"], currency), "credit": Amount.of(record["credit_minor"], currency)}
    return Contract.model_validate({**record, **amounts})


def operations(register: Register, enrolment: Enrolment) -> list[AnyOperation]:
    return [*_reading(register), _new(register, enrolment)]


def _new(register: Register, enrolment: Enrolment) -> AnyOperation:
    def add(call: Call[Nothing, Nothing, NewContractAsked]) -> Contract:
        said = call.body
        new = NewContract(
            said.customer_id, said.site_id, said.meter_id, said.kind, said.currency, said.tariff_id, said.opened_on
        )
        try:
            made = enrolment.add_contract(call.new_id(), new, by=call.actor)
        except Unknown as error:
            raise Refusal(NOT_FOUND, str(error)) from None
        found = register.contract(int(made))
        if found is None:
            raise Refusal(NOT_FOUND)
        return _shown(found)

    return Operation(
        id="addContract",
        method="POST",
        path="/contracts",
        tag=_TAG,
        summary="A new contract, with an account number of its own",
        scope=Scope.CONTRACTS_WRITE,
        ids=Nothing,
        query=Nothing,
        body=NewContractAsked,
        answer=Contract,
        carry_out=add,
        status=201,
        key_needed=True,
        problems=(NOT_FOUND, STATE_CONFLICT),
    )


def _reading(register: Register) -> list[AnyOperation]:
    def every(call: Call[Nothing, ContractsAsked, Nothing]) -> ContractList:
        asked = call.query
        page = register.contracts(
            paging.where(asked, of="contracts"),
            customer_id=asked.customer_id,
            account_number=asked.account_number,
            meter_id=asked.meter_id,
            state=asked.state,
        )
        return ContractList.model_validate(paging.listed(page, _shown, of="contracts"))

    def one(call: Call[ById, Nothing, Nothing]) -> Contract:
        found = register.contract(call.path.id)
        if found is None:
            raise Refusal(NOT_FOUND)
        return _shown(found)

    return [
        Operation(
            id="listContracts",
            method="GET",
            path="/contracts",
            tag=_TAG,
            summary="Contracts, with what is due on each",
            scope=Scope.CONTRACTS_READ,
            ids=Nothing,
            query=ContractsAsked,
            body=Nothing,
            answer=ContractList,
            carry_out=every,
        ),
        Operation(
            id="getContract",
            method="GET",
            path="/contracts/{id}",
            tag=_TAG,
            summary="One contract",
            scope=Scope.CONTRACTS_READ,
            ids=ById,
            query=Nothing,
            body=Nothing,
            answer=Contract,
            carry_out=one,
        ),
    ]
