"""Contracts: what is owed, is owed here."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel

from channels.api import paging
from channels.api.fields import AccountNumber, Amount, ById, Id, Listed, MeterId, Nothing, PageAsked
from channels.api.operation import AnyOperation, Call, Operation
from channels.api.problems import NOT_FOUND, Refusal
from core.api_access.rules import Scope
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


def _shown(record: Record) -> Contract:
    currency = record["currency"]
    amounts = {"due": Amount.of(record["due_minor"], currency), "credit": Amount.of(record["credit_minor"], currency)}
    return Contract.model_validate({**record, **amounts})


def operations(register: Register) -> list[AnyOperation]:
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
