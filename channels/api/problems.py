"""What goes wrong, as a program reads it: `application/problem+json` (RFC 9457), in English, with a type that stays.

Problem
├── 400 malformed              not JSON, or a header nobody can read
├── 401 not-authenticated      no token, or one that opens nothing
├── 403 not-allowed            the token lacks the scope
├── 404 not-found              nothing here for this token; also a page that never was
├── 404 document-missing       the thing is there, its document is not made yet
├── 405 method-not-allowed
├── 409 state-conflict         not in a state that allows this; nothing was changed
├── 409 key-in-hand            the same request is being carried out at this moment
├── 409 key-reused             the idempotency key came before with another content
├── 413 too-large
├── 415 not-json
├── 422 invalid-input          `errors` says where and what
├── 429 too-many-requests
├── 500 internal               ours; it is logged under `trace`
└── 503 not-recorded           the database is busy; nothing was changed, try again
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, Field

MEDIA_TYPE = "application/problem+json"
_URN = "urn:mwolo:problem:"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem. `slug` never changes; the wording may."""

    slug: str
    status: int
    title: str

    @property
    def type(self) -> str:
        return _URN + self.slug


MALFORMED = Kind("malformed", 400, "The request cannot be read.")
NOT_AUTHENTICATED = Kind("not-authenticated", 401, "A valid token is needed.")
NOT_ALLOWED = Kind("not-allowed", 403, "This token may not do that.")
NOT_FOUND = Kind("not-found", 404, "There is nothing here.")
DOCUMENT_MISSING = Kind("document-missing", 404, "The document is not made yet.")
METHOD_NOT_ALLOWED = Kind("method-not-allowed", 405, "This path does not take that method.")
STATE_CONFLICT = Kind("state-conflict", 409, "Its state does not allow this; nothing was changed.")
KEY_IN_HAND = Kind("key-in-hand", 409, "The same request is being carried out at this moment.")
TOO_LARGE = Kind("too-large", 413, "The request is too large.")
NOT_JSON = Kind("not-json", 415, "The content must be application/json.")
INVALID_INPUT = Kind("invalid-input", 422, "Something in the request is not valid.")
KEY_REUSED = Kind("key-reused", 409, "This idempotency key came before with another content.")
TOO_MANY_REQUESTS = Kind("too-many-requests", 429, "Too many requests.")
INTERNAL = Kind("internal", 500, "Something is wrong on our side.")
NOT_RECORDED = Kind("not-recorded", 503, "The database is busy; nothing was changed. Try again.")

KINDS = (
    MALFORMED,
    NOT_AUTHENTICATED,
    NOT_ALLOWED,
    NOT_FOUND,
    DOCUMENT_MISSING,
    METHOD_NOT_ALLOWED,
    STATE_CONFLICT,
    KEY_IN_HAND,
    KEY_REUSED,
    TOO_LARGE,
    NOT_JSON,
    INVALID_INPUT,
    TOO_MANY_REQUESTS,
    INTERNAL,
    NOT_RECORDED,
)


class Fault(BaseModel):
    """One thing that is not valid. What was sent is not repeated here."""

    at: Annotated[str, Field(description="Where: `amount.minor`, `limit`, a header's name.")]
    what: Annotated[str, Field(description="What is wrong with it.")]


class Problem(BaseModel):
    """A problem. Programs decide by `type`; `detail` is for people."""

    type: Annotated[str, Field(description="Names the kind of problem and never changes.")]
    title: str
    status: int
    detail: str | None
    errors: list[Fault] | None
    trace: Annotated[str | None, Field(description="What to tell us when something is wrong on our side.")]


class Refusal(Exception):
    """Raised anywhere in the API; the door answers with its kind."""

    def __init__(
        self,
        kind: Kind,
        detail: str | None = None,
        *,
        faults: list[Fault] | None = None,
        headers: dict[str, str] | None = None,
        trace: str | None = None,
    ) -> None:
        super().__init__(kind.slug)
        self.kind = kind
        self.headers = headers or {}
        self.problem = Problem(
            type=kind.type, title=kind.title, status=kind.status, detail=detail, errors=faults, trace=trace
        )
