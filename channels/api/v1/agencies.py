"""Agencies: where people go. Public."""

from __future__ import annotations

from pydantic import BaseModel

from channels.api import paging
from channels.api.fields import ById, City, Id, Listed, Nothing, PageAsked
from channels.api.operation import AnyOperation, Call, Operation
from channels.api.problems import NOT_FOUND, Refusal
from core.services.register import Register

_TAG = "Agencies"


class Agency(BaseModel):
    """A counter of the utility. `hours`: as they are written on its door."""

    id: Id
    code: str
    name: str
    city: str
    address: str
    phone: str
    hours: str
    time_zone: str


class AgencyList(Listed[Agency]):
    pass


class AgenciesAsked(PageAsked):
    city: City | None = None


def operations(register: Register) -> list[AnyOperation]:
    def every(call: Call[Nothing, AgenciesAsked, Nothing]) -> AgencyList:
        page = register.agencies(paging.where(call.query, of="agencies"), city=call.query.city)
        return AgencyList.model_validate(paging.listed(page, Agency.model_validate, of="agencies"))

    def one(call: Call[ById, Nothing, Nothing]) -> Agency:
        found = register.agency(call.path.id)
        if found is None:
            raise Refusal(NOT_FOUND)
        return Agency.model_validate(found)

    return [
        Operation(
            id="listAgencies",
            method="GET",
            path="/agencies",
            tag=_TAG,
            summary="All agencies, with place, hours and phone",
            scope=None,
            ids=Nothing,
            query=AgenciesAsked,
            body=Nothing,
            answer=AgencyList,
            carry_out=every,
        ),
        Operation(
            id="getAgency",
            method="GET",
            path="/agencies/{id}",
            tag=_TAG,
            summary="One agency",
            scope=None,
            ids=ById,
            query=Nothing,
            body=Nothing,
            answer=Agency,
            carry_out=one,
        ),
    ]
