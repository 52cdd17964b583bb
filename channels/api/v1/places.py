"""Provinces of the country, with their cities, territories and communes. Public."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from channels.api import paging
from channels.api.fields import Asked, Listed, Nothing, PageAsked
from channels.api.operation import AnyOperation, Call, Operation
from channels.api.problems import NOT_FOUND, Refusal
from core.services.register import Register

_TAG = "Provinces"
ProvinceCode = Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-2:CD without `CD-`: `NK`.")]
PlaceCode = Annotated[str, Field(pattern=r"^[A-Z]{2}-[a-z]-[a-z0-9-]{1,35}$", description="A place of `/provinces`.")]


class Place(BaseModel):
    """A city (ville), a territory (territoire), or a commune of Kinshasa. A city and a territory may share a name."""

    code: str
    kind: Literal["city", "territory", "commune"]
    name: str


class Province(BaseModel):
    """Names are French. Every place in a province lies in its time zone."""

    code: str
    name: str
    capital: str
    time_zone: str
    places: list[Place]


class ProvinceList(Listed[Province]):
    pass


class ByProvinceCode(Asked):
    code: ProvinceCode


def operations(register: Register) -> list[AnyOperation]:
    def every(call: Call[Nothing, PageAsked, Nothing]) -> ProvinceList:
        page = register.provinces(paging.where(call.query, of="provinces", key=(str,)))
        return ProvinceList.model_validate(paging.listed(page, Province.model_validate, of="provinces"))

    def one(call: Call[ByProvinceCode, Nothing, Nothing]) -> Province:
        found = register.province(call.path.code)
        if found is None:
            raise Refusal(NOT_FOUND)
        return Province.model_validate(found)

    return [
        Operation(
            id="listProvinces",
            method="GET",
            path="/provinces",
            tag=_TAG,
            summary="The provinces, each with its places",
            scope=None,
            ids=Nothing,
            query=PageAsked,
            body=Nothing,
            answer=ProvinceList,
            carry_out=every,
        ),
        Operation(
            id="getProvince",
            method="GET",
            path="/provinces/{code}",
            tag=_TAG,
            summary="One province with its places",
            scope=None,
            ids=ByProvinceCode,
            query=Nothing,
            body=Nothing,
            answer=Province,
            carry_out=one,
        ),
    ]
