"""Jobs: what was asked for and is made in the background."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from channels.api.fields import ById, Id, Nothing
from channels.api.operation import AnyOperation, Call, Operation
from channels.api.problems import NOT_FOUND, Refusal
from core.api_access.rules import Scope
from core.services.register import Record, Register


class Job(BaseModel):
    """`done`: what was asked for is at `result`. `failed`: it was given up, `problem` says why; a person looks at it.
    `waiting`: it is tried, and tried again after a trouble that `problem` names."""

    id: Id
    kind: str
    state: Literal["waiting", "done", "failed"]
    attempts: int
    created_at: datetime
    done_at: datetime | None
    problem: str | None
    result: str | None


_PLACE = re.compile(r"(?<![\w/])/[^\s'\"]+")
_STATES = {"pending": "waiting", "done": "done", "dead": "failed"}


def shown(record: Record) -> Job:
    state = _STATES[record["state"]]
    # What is taken up anew keeps the words of its last life until it is tried again.
    told = state == "failed" or (state == "waiting" and record["attempts"] > 0)
    # Without the names of our files: `OSError: [Errno 28] No space left on device: '/var/…'`.
    problem = (_PLACE.sub("…", record["last_error"]) or None) if told else None
    result = f"/api/v1/invoices/{record['body']['invoice_id']}/pdf" if state == "done" else None
    return Job.model_validate({**record, "state": state, "problem": problem, "result": result})


def operations(register: Register) -> list[AnyOperation]:
    def one(call: Call[ById, Nothing, Nothing]) -> Job:
        found = register.job(call.path.id)
        if found is None:
            raise Refusal(NOT_FOUND)
        return shown(found)

    return [
        Operation(
            id="getJob",
            method="GET",
            path="/jobs/{id}",
            tag="Jobs",
            summary="How far a job is",
            scope=Scope.INVOICES_READ,
            ids=ById,
            query=Nothing,
            body=Nothing,
            answer=Job,
            carry_out=one,
        ),
    ]
