"""Meters: what is wanted of them, what they say, what they read."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from channels.api import paging
from channels.api.fields import JSON_INTEGER, Asked, Day, Id, Listed, MeterId, Moment, Nothing, PageAsked
from channels.api.operation import AnyOperation, Call, Operation
from channels.api.problems import NOT_FOUND, STATE_CONFLICT, Refusal
from core.api_access.rules import Scope
from core.readings.model import TOTAL, Point
from core.services.enrolment import Enrolment, NewMeter, Unknown
from core.services.readings import Readings
from core.services.register import Register

_TAG = "Meters"


class Meter(BaseModel):
    """`wanted`: what the utility wants; `reported`: what the meter itself said last, at `reported_at`."""

    id: str
    site_id: int
    control_kind: Literal["mqtt_relay", "openpaygo_token", "sts_token", "manual", "none"]
    installed_on: date
    wanted: Literal["on", "off"] | None
    reported: Literal["on", "off"] | None
    online: bool | None
    reported_at: datetime | None


class MeterList(Listed[Meter]):
    pass


class MetersAsked(PageAsked):
    site_id: Id | None = None


class ByMeterId(Asked):
    id: MeterId


class Reading(BaseModel):
    """What one register said at one moment: cumulative, never a difference. `quality`: 0 measured, 1 clock doubtful,
    2 after an outage, 3 estimated by us, 4 edited by a person. A reading that is `held` waits for a person and is not
    billed; `doubt` says why."""

    id: Id
    meter_id: str
    register_name: str = Field(validation_alias="register", serialization_alias="register")
    at: datetime
    arrived_at: datetime
    wh: int
    quality: int
    source: str
    state: Literal["accepted", "held", "rejected"]
    doubt: str | None


class ReadingList(Listed[Reading]):
    pass


class ReadingsAsked(PageAsked):
    since: Moment | None = None


class NewReading(Asked):
    """`wh`: what the register showed, cumulative, in whole watt-hours. `at`: when, by the meter's own time; before 1970
    and after 2199 the whole request is refused."""

    at: Moment
    wh: Annotated[int, Field(ge=0, le=10**15), JSON_INTEGER]
    quality: Annotated[int, Field(ge=0, le=3), JSON_INTEGER] = 0


class NewReadings(Asked):
    """Readings of one register of one meter, in any order."""

    register_name: Annotated[str, Field(alias="register", pattern=r"^[a-z0-9_.-]{1,12}$")] = TOTAL
    readings: Annotated[list[NewReading], Field(min_length=1, max_length=200)]


class TakenReadings(BaseModel):
    """`held`: taken, but nobody believes them; a person looks before they are billed. `repeated`: known already."""

    taken: int
    held: int
    repeated: int


class NewMeterAsked(Asked):
    """`control_kind`: how its supply is switched."""

    id: MeterId
    site_id: Annotated[int, Field(ge=1, le=2**53 - 1), JSON_INTEGER]
    control_kind: Literal["mqtt_relay", "openpaygo_token", "sts_token", "manual", "none"]
    installed_on: Day


def operations(register: Register, readings: Readings, enrolment: Enrolment) -> list[AnyOperation]:
    return [*_meters(register), _new_meter(register, enrolment), *_readings(register), _new_readings(readings)]


def _new_meter(register: Register, enrolment: Enrolment) -> AnyOperation:
    def add(call: Call[Nothing, Nothing, NewMeterAsked]) -> Meter:
        said = call.body
        new = NewMeter(said.id, said.site_id, said.control_kind, said.installed_on)
        try:
            made = enrolment.add_meter(call.new_id(), new, by=call.actor)
        except Unknown as error:
            raise Refusal(NOT_FOUND, str(error)) from None
        return Meter.model_validate(register.meter(made))

    return Operation(
        id="addMeter",
        method="POST",
        path="/meters",
        tag=_TAG,
        summary="A new meter at a site",
        description="Its key is provisioned apart, by whoever holds the device.",
        scope=Scope.CONTRACTS_WRITE,
        ids=Nothing,
        query=Nothing,
        body=NewMeterAsked,
        answer=Meter,
        carry_out=add,
        status=201,
        key_needed=True,
        problems=(NOT_FOUND, STATE_CONFLICT),
    )


def _meters(register: Register) -> list[AnyOperation]:
    def every(call: Call[Nothing, MetersAsked, Nothing]) -> MeterList:
        begin = paging.where(call.query, of="meters", key=(str,))
        page = register.meters(begin, site_id=call.query.site_id)
        return MeterList.model_validate(paging.listed(page, Meter.model_validate, of="meters"))

    def one(call: Call[ByMeterId, Nothing, Nothing]) -> Meter:
        found = register.meter(call.path.id)
        if found is None:
            raise Refusal(NOT_FOUND)
        return Meter.model_validate(found)

    return [
        Operation(
            id="listMeters",
            method="GET",
            path="/meters",
            tag=_TAG,
            summary="Meters, with what is wanted and what they last said",
            scope=Scope.CONTRACTS_READ,
            ids=Nothing,
            query=MetersAsked,
            body=Nothing,
            answer=MeterList,
            carry_out=every,
        ),
        Operation(
            id="getMeter",
            method="GET",
            path="/meters/{id}",
            tag=_TAG,
            summary="One meter",
            scope=Scope.CONTRACTS_READ,
            ids=ByMeterId,
            query=Nothing,
            body=Nothing,
            answer=Meter,
            carry_out=one,
        ),
    ]


def _readings(register: Register) -> list[AnyOperation]:
    def every(call: Call[ByMeterId, ReadingsAsked, Nothing]) -> ReadingList:
        begin = paging.where(call.query, of="readings", key=(datetime, int))
        page = register.readings(call.path.id, begin, since=call.query.since)
        if page is None:
            raise Refusal(NOT_FOUND)
        return ReadingList.model_validate(paging.listed(page, Reading.model_validate, of="readings"))

    return [
        Operation(
            id="listReadings",
            method="GET",
            path="/meters/{id}/readings",
            tag=_TAG,
            summary="What a meter has read, oldest first",
            scope=Scope.READINGS_READ,
            ids=ByMeterId,
            query=ReadingsAsked,
            body=Nothing,
            answer=ReadingList,
            carry_out=every,
        ),
    ]


def _new_readings(readings: Readings) -> AnyOperation:
    def take(call: Call[ByMeterId, Nothing, NewReadings]) -> TakenReadings:
        said = call.body
        points = [Point(reading.at, reading.wh, reading.quality) for reading in said.readings]
        done = readings.take(call.path.id, points, source="api", register=said.register_name, by=call.actor)
        if done.unknown:
            raise Refusal(NOT_FOUND)
        return TakenReadings(taken=done.taken, held=done.held, repeated=done.repeated)

    return Operation(
        id="takeReadings",
        method="POST",
        path="/meters/{id}/readings",
        tag=_TAG,
        summary="Write down what a meter has read",
        description="The same readings again change nothing, with or without a key.",
        scope=Scope.READINGS_WRITE,
        ids=ByMeterId,
        query=Nothing,
        body=NewReadings,
        answer=TakenReadings,
        carry_out=take,
        problems=(STATE_CONFLICT,),
    )
