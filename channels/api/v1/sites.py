"""Sites: places that are supplied."""

from __future__ import annotations

from pydantic import BaseModel

from channels.api import paging
from channels.api.fields import ById, City, Id, Listed, Nothing, PageAsked
from channels.api.operation import AnyOperation, Call, Operation
from channels.api.problems import NOT_FOUND, Refusal
from core.api_access.rules import Scope
from core.services.register import Register

_TAG = "Sites"


class Site(BaseModel):
    """`protected`: why supply here is never cut by itself (health, school, water, prison, medical); null elsewhere.
    Days and windows of a site are those of its own time zone."""

    id: Id
    agency_id: int
    address: str
    commune: str
    city: str
    time_zone: str
    protected: str | None


class SiteList(Listed[Site]):
    pass


class SitesAsked(PageAsked):
    agency_id: Id | None = None
    city: City | None = None


def operations(register: Register) -> list[AnyOperation]:
    def every(call: Call[Nothing, SitesAsked, Nothing]) -> SiteList:
        asked = call.query
        page = register.sites(paging.where(asked, of="sites"), agency_id=asked.agency_id, city=asked.city)
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
