"""Sites: places that are supplied."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from channels.api import paging
from channels.api.fields import JSON_INTEGER, PLAIN, Asked, ById, City, Id, Listed, Nothing, PageAsked
from channels.api.operation import AnyOperation, Call, Operation
from channels.api.problems import NOT_FOUND, STATE_CONFLICT, Refusal
from channels.api.v1.places import PlaceCode, ProvinceCode
from core.api_access.rules import Scope
from core.services.enrolment import Enrolment, NewSite, Unknown
from core.services.register import Register

_TAG = "Sites"


class Site(BaseModel):
    """`protected`: why supply here is never cut by itself (health, school, water, prison, medical); null elsewhere.
    Days and windows of a site are those of its own time zone. `place`: a city, territory or commune of `/provinces`,
    where it is known."""

    id: Id
    agency_id: int
    address: str
    commune: str
    city: str
    time_zone: str
    province: str | None
    place: str | None
    protected: str | None


class SiteList(Listed[Site]):
    pass


class SitesAsked(PageAsked):
    agency_id: Id | None = None
    city: City | None = None
    province: ProvinceCode | None = None


class NewSiteAsked(Asked):
    agency_id: Annotated[int, Field(ge=1, le=2**53 - 1), JSON_INTEGER]
    address: Annotated[str, Field(min_length=1, max_length=160, pattern=PLAIN)]
    commune: Annotated[str, Field(min_length=1, max_length=60, pattern=PLAIN)]
    city: City
    time_zone: Literal["Africa/Kinshasa", "Africa/Lubumbashi"]
    protected: Literal["health", "school", "water", "prison", "medical"] | None = None
    place: PlaceCode | None = None


def operations(register: Register, enrolment: Enrolment) -> list[AnyOperation]:
    return [*_reading(register), _new(register, enrolment)]


def _new(register: Register, enrolment: Enrolment) -> AnyOperation:
    def add(call: Call[Nothing, Nothing, NewSiteAsked]) -> Site:
        said = call.body
        new = NewSite(said.agency_id, said.address, said.commune, said.city, said.time_zone, said.protected, said.place)
        try:
            made = enrolment.add_site(call.new_id(), new, by=call.actor)
        except Unknown as error:
            raise Refusal(NOT_FOUND, str(error)) from None
        return Site.model_validate(register.site(int(made)))

    return Operation(
        id="addSite",
        method="POST",
        path="/sites",
        tag=_TAG,
        summary="A new place that is supplied",
        scope=Scope.CONTRACTS_WRITE,
        ids=Nothing,
        query=Nothing,
        body=NewSiteAsked,
        answer=Site,
        carry_out=add,
        status=201,
        key_needed=True,
        problems=(NOT_FOUND, STATE_CONFLICT),
    )


def _reading(register: Register) -> list[AnyOperation]:
    def every(call: Call[Nothing, SitesAsked, Nothing]) -> SiteList:
        asked = call.query
        page = register.sites(
            paging.where(asked, of="sites"), agency_id=asked.agency_id, city=asked.city, province=asked.province
        )
        return SiteList.model_validate(paging.listed(page, Site.model_validate, of="sites"))

    def one(call: Call[ById, Nothing, Nothing]) -> Site:
        found = register.site(call.path.id)
        if found is None:
            raise Refusal(NOT_FOUND)
        return Site.model_validate(found)

    return [
        Operation(
            id="listSites",
            method="GET",
            path="/sites",
            tag=_TAG,
            summary="Places that are supplied",
            scope=Scope.CONTRACTS_READ,
            ids=Nothing,
            query=SitesAsked,
            body=Nothing,
            answer=SiteList,
            carry_out=every,
        ),
        Operation(
            id="getSite",
            method="GET",
            path="/sites/{id}",
            tag=_TAG,
            summary="One site",
            scope=Scope.CONTRACTS_READ,
            ids=ById,
            query=Nothing,
            body=Nothing,
            answer=Site,
            carry_out=one,
        ),
    ]
