"""The door: who asks, how fast, what for; then one operation is carried out, once per idempotency key."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from flask import Blueprint, Response, jsonify, request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge

from channels.api import docs_page, openapi, problems
from channels.api.operation import AnyOperation, Call, Pdf
from channels.api.parts import ApiParts
from channels.api.problems import Fault, Refusal
from channels.api.v1 import operations
from core.api_access.errors import KeyInHand, KeyReused
from core.api_access.rules import PREFIX, hash_of
from core.kernel.errors import NotRecorded, StateConflict
from core.kernel.ids import token
from core.rate import TokenBuckets
from core.services.api_tokens import ApiTokens, Kept, Program

_ROOT = "/api"
_KEY = re.compile(openapi.KEY_PATTERN.strip("^$"))
_JSON = "application/json"
_FAULTS_SHOWN = 20
_RETRY_AFTER_S = "5"

log = structlog.get_logger("api")


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str]


def api_blueprint(parts: ApiParts, *, version: str) -> Blueprint:
    """`/api/v1/…`, `/api/v1/openapi.json` and `/api/docs`. `version`: of the product, for the document."""
    api = Blueprint("api", __name__, url_prefix=_ROOT, template_folder="templates", static_folder="static")
    every = operations(parts)
    described = openapi.document(every, version=version)
    door = _Door(parts)
    for operation in every:
        rule = "/v1" + operation.path.replace("{", "<").replace("}", ">")
        api.add_url_rule(rule, operation.id, partial(door.answer, operation), methods=[operation.method])

    @api.get("/v1/openapi.json")
    def openapi_json() -> Response:
        answer = jsonify(described)
        answer.headers["Cache-Control"] = "public, max-age=300"
        return answer

    @api.get("/docs")
    def docs() -> Response:
        return docs_page.page(described)

    @api.app_errorhandler(NotFound)
    @api.app_errorhandler(MethodNotAllowed)
    def elsewhere(error: HTTPException) -> Response | HTTPException:
        """A path of the API that is none: a problem too. Everybody else's errors stay as they are."""
        if not request.path.startswith(_ROOT + "/"):
            return error
        if isinstance(error, MethodNotAllowed):
            allowed = {"Allow": ", ".join(sorted(error.valid_methods or ()))}
            return _dressed(_respond(_refused(Refusal(problems.METHOD_NOT_ALLOWED, headers=allowed))))
        return _dressed(_respond(_refused(Refusal(problems.NOT_FOUND))))

    api.after_request(_dressed)
    return api


def _dressed(response: Response) -> Response:
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    return response


class _Door:
    def __init__(self, parts: ApiParts) -> None:
        self._tokens: ApiTokens = parts.tokens
        pace = parts.pace
        self._programs = TokenBuckets(parts.clock, burst=pace.burst, per_minute=pace.per_minute)
        self._addresses = TokenBuckets(parts.clock, burst=pace.burst, per_minute=pace.per_minute)
        # Apart: a website that reads what is public is no guesser.
        self._guesses = TokenBuckets(parts.clock, burst=pace.burst, per_minute=pace.per_minute)
        # Of tokens that opened something here: no more than there are valid ones.
        self._met: set[str] = set()

    def answer(self, operation: AnyOperation, **ids: str) -> Response:
        try:
            return _respond(self._answer(operation, ids))
        except Refusal as refusal:
            return _respond(_refused(refusal))
        except NotRecorded:
            return _respond(_refused(_busy()))
        except Exception as error:
            trace = token()[:16]
            log.error("api.failed", operation=operation.id, trace=trace, kind=type(error).__name__, exc_info=error)
            return _respond(_refused(Refusal(problems.INTERNAL, trace=trace)))

    def _answer(self, operation: AnyOperation, ids: Mapping[str, str]) -> Reply:
        request.max_content_length = openapi.BODY_MAX
        who = self._known(operation)
        content = _content(operation)
        call = _call(operation, ids, who, content)
        if operation.method == "POST" and who is not None and call.key is not None:
            return self._once(operation, call, who, call.key)
        return _carried_out(operation, call)

    def _known(self, operation: AnyOperation) -> Program | None:
        """Who asks. Once an address has guessed too often, only tokens that are known from before are looked up for it:
        whoever guesses behind the same proxy shuts no program out."""
        address = request.remote_addr or ""
        if operation.scope is None:
            self._slow_down(self._addresses, address)
            return None
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        who = None
        if scheme.lower() == "bearer" and secret.startswith(PREFIX) and len(secret) <= 100:
            met = hash_of(secret)
            if met not in self._met and not self._guesses.has_left(address):
                raise _too_fast()
            who = self._tokens.who(secret)
            if who is not None:
                self._met.add(met)
        if who is None:
            self._slow_down(self._guesses, address)
            raise Refusal(problems.NOT_AUTHENTICATED, headers={"WWW-Authenticate": 'Bearer realm="mwolo"'})
        self._slow_down(self._programs, str(who.token_id))
        if not who.may(operation.scope):
            raise Refusal(problems.NOT_ALLOWED, f"It needs the scope {operation.scope}.")
        return who

    @staticmethod
    def _slow_down(buckets: TokenBuckets, key: str) -> None:
        if not buckets.take(key):
            raise _too_fast()

    def _once(self, operation: AnyOperation, call: Call[Any, Any, Any], who: Program, key: str) -> Reply:
        """The first answer to a key, however often it comes. A request that could not be recorded leaves no trace."""
        try:
            before = self._tokens.take_key(who, key, call.digest)
        except KeyReused:
            raise Refusal(problems.KEY_REUSED) from None
        except KeyInHand:
            raise Refusal(problems.KEY_IN_HAND, headers={"Retry-After": _RETRY_AFTER_S}) from None
        if before is not None:
            replayed = {"Idempotency-Replayed": "true"}
            return Reply(before.status, before.content_type, before.body.encode(), replayed)
        try:
            reply = _carried_out(operation, call)
        except Exception:
            # What was done stands, if anything was; the services refuse to do it twice.
            self._tokens.let_go(who, key)
            raise
        self._remember(who, key, reply)
        return reply

    def _remember(self, who: Program, key: str, reply: Reply) -> None:
        try:
            if reply.status >= 500:
                self._tokens.let_go(who, key)
            else:
                self._tokens.keep(who, key, Kept(reply.status, reply.content_type, reply.body.decode()))
        except NotRecorded:
            # It is done: the program must hear so. The key rests until its time in hand is over.
            log.warning("api.answer_not_kept", status=reply.status)


def _carried_out(operation: AnyOperation, call: Call[Any, Any, Any]) -> Reply:
    """The operation's answer; its refusals are answers too."""
    try:
        made = operation.carry_out(call)
    except Refusal as refusal:
        return _refused(refusal)
    except StateConflict as error:
        return _refused(Refusal(problems.STATE_CONFLICT, str(error)))
    except NotRecorded:
        return _refused(_busy())
    if isinstance(made, Pdf):
        headers = {"Content-Disposition": f'inline; filename="{_file_name(made.name)}"'}
        return Reply(operation.status, "application/pdf", made.content, headers)
    return Reply(operation.status, _JSON, made.model_dump_json(by_alias=True).encode(), {})


def _too_fast() -> Refusal:
    return Refusal(problems.TOO_MANY_REQUESTS, headers={"Retry-After": _RETRY_AFTER_S})


def _busy() -> Refusal:
    return Refusal(problems.NOT_RECORDED, headers={"Retry-After": _RETRY_AFTER_S})


def _file_name(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in ".-") else "-" for c in name)


def _content(operation: AnyOperation) -> bytes:
    if operation.method != "POST":
        return b""
    try:
        content = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise Refusal(problems.TOO_LARGE, f"At most {openapi.BODY_MAX} bytes.") from None
    if operation.has_body and request.mimetype != _JSON:
        raise Refusal(problems.NOT_JSON)
    return content


def _call(operation: AnyOperation, ids: Mapping[str, str], who: Program | None, content: bytes) -> Call[Any, Any, Any]:
    try:
        path = operation.ids.model_validate(ids)
    except ValidationError:
        # An id that cannot be is one that is not there.
        raise Refusal(problems.NOT_FOUND) from None
    key = request.headers.get(openapi.KEY_HEADER) if operation.method == "POST" else None
    if key is not None and _KEY.fullmatch(key) is None:
        raise Refusal(problems.MALFORMED, f"{openapi.KEY_HEADER} has 1 to 80 visible ASCII characters.")
    if key is None and operation.key_needed:
        raise Refusal(problems.MALFORMED, f"{openapi.KEY_HEADER} is needed: a repetition would make a second one.")
    asked = _checked(lambda: operation.query.model_validate(_query()))
    body = (
        _checked(lambda: operation.body.model_validate_json(content, strict=True))
        if operation.has_body
        else operation.body()
    )
    return Call(path, asked, body, who, key, _digest(content) if key is not None else "")


def _query() -> dict[str, str]:
    found = request.args.to_dict(flat=False)
    several = [name for name, values in found.items() if len(values) > 1]
    if several:
        faults = [Fault(at=name[:80], what="given more than once") for name in several[:_FAULTS_SHOWN]]
        raise Refusal(problems.INVALID_INPUT, faults=faults)
    return {name: values[0] for name, values in found.items()}


def _checked(read: Callable[[], BaseModel]) -> BaseModel:
    try:
        return read()
    except ValidationError as error:
        # What was sent is not repeated: answers are logged by whoever asks.
        found = error.errors(include_url=False, include_context=False, include_input=False)
    if any(fault["type"] == "json_invalid" for fault in found):
        raise Refusal(problems.MALFORMED, "The content is not JSON.")
    faults = [
        Fault(at=".".join(str(part) for part in fault["loc"])[:80], what=fault["msg"][:200])
        for fault in found[:_FAULTS_SHOWN]
    ]
    raise Refusal(problems.INVALID_INPUT, faults=faults)


def _digest(content: bytes) -> str:
    """Of what is asked: the same JSON written in another order is the same content."""
    try:
        same = json.dumps(json.loads(content), sort_keys=True, separators=(",", ":")).encode() if content else b""
    except (ValueError, RecursionError):
        # Where no content is read, it may be anything.
        same = content
    said = b"\n".join((request.method.encode(), request.full_path.encode(), same))
    return hashlib.sha256(said).hexdigest()


def _refused(refusal: Refusal) -> Reply:
    body = refusal.problem.model_dump_json(by_alias=True).encode()
    return Reply(refusal.kind.status, problems.MEDIA_TYPE, body, refusal.headers)


def _respond(reply: Reply) -> Response:
    return Response(reply.body, reply.status, dict(reply.headers), content_type=reply.content_type)
