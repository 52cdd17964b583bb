"""Field agents and their floats."""

from __future__ import annotations

from pydantic import BaseModel, Field

from channels.api import paging
from channels.api.fields import Amount, ById, Id, Listed, Nothing, PageAsked
from channels.api.operation import AnyOperation, Call, Operation
from channels.api.problems import NOT_FOUND, Refusal
from core.api_access.rules import Scope
from core.services.register import Record, Register

_TAG = "Agents"


class Agent(BaseModel):
    """`float`: what is left to sell from; below zero down to the credit limit."""

    id: Id
    code: str
    name: str
    phone: str
    agency_id: int
    active: bool
    float_left: Amount = Field(validation_alias="float", serialization_alias="float")
    credit_limit: Amount


class AgentList(Listed[Agent]):
    pass


class AgentsAsked(PageAsked):
    agency_id: Id | None = None


def _shown(record: Record) -> Agent:
    currency = record["currency"]
    float_left = Amount.of(record["float_minor"] or 0, currency)
    limit = Amount.of(record["credit_limit_minor"], currency)
    return Agent.model_validate({**record, "float": float_left, "credit_limit": limit})


def operations(register: Register) -> list[AnyOperation]:
    def every(call: Call[Nothing, AgentsAsked, Nothing]) -> AgentList:
        page = register.agents(paging.where(call.query, of="agents"), agency_id=call.query.agency_id)
        return AgentList.model_validate(paging.listed(page, _shown, of="agents"))

    def one(call: Call[ById, Nothing, Nothing]) -> Agent:
        found = register.agent(call.path.id)
        if found is None:
            raise Refusal(NOT_FOUND)
        return _shown(found)

    return [
        Operation(
            id="listAgents",
            method="GET",
            path="/agents",
            tag=_TAG,
            summary="Field agents, with the float that is left",
            scope=Scope.AGENTS_READ,
            ids=Nothing,
            query=AgentsAsked,
            body=Nothing,
            answer=AgentList,
            carry_out=every,
        ),
        Operation(
            id="getAgent",
            method="GET",
            path="/agents/{id}",
            tag=_TAG,
            summary="One agent",
            scope=Scope.AGENTS_READ,
            ids=ById,
            query=Nothing,
            body=Nothing,
            answer=Agent,
            carry_out=one,
        ),
    ]
