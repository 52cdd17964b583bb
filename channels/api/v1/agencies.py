"""Agencies: where people go, and when somebody is there. Public."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field

from channels.api import paging
from channels.api.fields import ById, City, Id, Listed, Nothing, PageAsked
from channels.api.operation import AnyOperation, Call, Operation
from channels.api.problems import NOT_FOUND, Refusal
from channels.api.v1.places import PlaceCode, ProvinceCode
from core.customers.opening import Spans, clock
from core.customers.opening_words import spoken_week
from core.i18n import DEFAULT_LANGUAGE
from core.services.agencies import Agencies, OpeningNow
from core.services.register import Record, Register

_TAG = "Agencies"
_DEGREE = 1_000_000


class OpenSpan(BaseModel):
    """From one time of the day to another, in the agency's own zone: `08:00` to `12:00`. Midnight at the end of a day
    is `24:00`."""

    opens: str
    closes: str


class WeekdayHours(OpenSpan):
    """`weekday`: 1 is Monday, 7 Sunday."""

    weekday: int


class DayHours(BaseModel):
    """A day on which hours differ from the week's. No hours: closed."""

    day: date
    hours: list[OpenSpan]
    reason: str


class Agency(BaseModel):
    """A counter of the utility. `hours`: as people say them, in French; `week`: the same for programs, null where only
    `hours` are known. `days`: from today on; public holidays of the country, on which nobody is there, are not among
    them.
    `open_until`: null while it is closed, `opens_next`: when it opens after now; both null where `week` is.
    `place`: a city, territory or commune of `/provinces`; its province decides `time_zone`."""

    id: Id
    code: str
    name: str
    state: Literal["active", "closed"]
    province: str | None
    place: str | None
    city: str
    commune: str | None
    address: str
    latitude: float | None
    longitude: float | None
    phone: str
    phones: list[str] = Field(description="All numbers, `phone` first.")
    hours: str
    week: list[WeekdayHours] | None
    days: list[DayHours]
    open_until: datetime | None
    opens_next: datetime | None
    time_zone: str


class AgencyList(Listed[Agency]):
    pass


class AgenciesAsked(PageAsked):
    city: City | None = None
    province: ProvinceCode | None = None
    place: PlaceCode | None = None
    state: Literal["active", "closed"] = "active"


def operations(register: Register, agencies: Agencies) -> list[AnyOperation]:
    def every(call: Call[Nothing, AgenciesAsked, Nothing]) -> AgencyList:
        asked = call.query
        page = register.agencies(
            paging.where(asked, of="agencies"),
            city=asked.city,
            province=asked.province,
            place=asked.place,
            closed=asked.state == "closed",
        )
        opening = agencies.opening(page.items)
        return AgencyList.model_validate(
            paging.listed(page, lambda record: _agency(record, opening[record["id"]]), of="agencies")
        )

    def one(call: Call[ById, Nothing, Nothing]) -> Agency:
        found = register.agency(call.path.id)
        if found is None:
            raise Refusal(NOT_FOUND)
        return _agency(found, agencies.opening([found])[found["id"]])

    return [
        Operation(
            id="listAgencies",
            method="GET",
            path="/agencies",
            tag=_TAG,
            summary="Agencies, with place, hours and phones",
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


def _agency(record: Record, opening: OpeningNow) -> Agency:
    closed = record["closed_at"] is not None
    hours = opening.hours
    return Agency(
        id=record["id"],
        code=record["code"],
        name=record["name"],
        state="closed" if closed else "active",
        province=record["province_code"],
        place=record["place_code"],
        city=record["city"],
        commune=record["commune"],
        address=record["address"],
        latitude=_degrees(record["latitude_e6"]),
        longitude=_degrees(record["longitude_e6"]),
        phone=record["phone"],
        phones=[record["phone"], *(record["phones"] or ())],
        hours=spoken_week(hours.week, DEFAULT_LANGUAGE) if hours else record["hours"],
        week=[
            WeekdayHours(weekday=number, opens=clock(span.opens), closes=clock(span.closes))
            for number, spans in enumerate(hours.week, start=1)
            for span in spans
        ]
        if hours
        else None,
        days=[DayHours(day=day.day, hours=_spans(day.hours), reason=day.reason) for day in opening.days],
        open_until=None if closed else opening.open_until,
        opens_next=None if closed else opening.next_opening,
        time_zone=record["time_zone"],
    )


def _spans(spans: Spans) -> list[OpenSpan]:
    return [OpenSpan(opens=clock(span.opens), closes=clock(span.closes)) for span in spans]


def _degrees(millionths: int | None) -> float | None:
    return None if millionths is None else millionths / _DEGREE
