"""One operation, declared once: the routes, the checks, and the OpenAPI document are all made from it.

A library was turned down: those for Flask either write routes by decorators that hide what is checked (flask-openapi),
or bring a second kind of schema beside pydantic (apispec with marshmallow). What is needed is below, and typed.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from channels.api.problems import Kind
from core.api_access.rules import Scope
from core.services.api_tokens import Program

P = TypeVar("P", bound=BaseModel)
Q = TypeVar("Q", bound=BaseModel)
B = TypeVar("B", bound=BaseModel)
Method = Literal["GET", "POST", "DELETE"]
# Ids that are made from a key are of this family: a repeated request makes the same one.
_KEYED_IDS = uuid.UUID("b2a5c8f4-5c0f-4f3e-9a53-0f6f2d1b7c11")


@dataclass(frozen=True, slots=True)
class Pdf:
    """A document as an answer. `name`: what a browser calls the file."""

    content: bytes
    name: str


@dataclass(frozen=True, slots=True)
class Call(Generic[P, Q, B]):
    """One request whose parts are checked. `who` is None where anybody may ask; `digest`: of what a request with a key
    asks for."""

    path: P
    query: Q
    body: B
    who: Program | None
    key: str | None
    digest: str = ""

    @property
    def actor(self) -> str:
        assert self.who is not None, "an operation that writes needs a scope"
        return self.who.actor

    def new_id(self) -> str:
        """An id for what this request makes: the same again for the same token, idempotency key and content.

        With the content: a key may come again for another thing once its answer is forgotten, and that is a new thing.
        """
        if self.key is None or self.who is None:
            return str(uuid.uuid4())
        return str(uuid.uuid5(_KEYED_IDS, f"{self.who.token_id}:{self.key}:{self.digest}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[P, Q, B]):
    """`scope` None: public. `answer` None: a PDF. `key_needed`: a repetition would make a second thing, so the request
    must carry an idempotency key; elsewhere the state of the thing refuses it, and the key is welcome.
    `problems`: those beyond what every operation of this shape may answer."""

    id: str
    method: Method
    path: str
    tag: str
    summary: str
    scope: Scope | None
    ids: type[P]
    query: type[Q]
    body: type[B]
    answer: type[BaseModel] | None
    carry_out: Callable[[Call[P, Q, B]], BaseModel | Pdf]
    status: int = 200
    description: str = ""
    key_needed: bool = False
    problems: tuple[Kind, ...] = ()

    @property
    def has_body(self) -> bool:
        return bool(self.body.model_fields)


AnyOperation = Operation[Any, Any, Any]
