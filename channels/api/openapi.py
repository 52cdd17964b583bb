"""The OpenAPI 3.1 document, made from the declarations and from nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from channels.api import problems
from channels.api.operation import AnyOperation
from channels.api.problems import Kind, Problem
from core.api_access.rules import SCOPE_MEANINGS

Json = dict[str, Any]
Mode = Literal["validation", "serialization"]
KEY_HEADER = "Idempotency-Key"
KEY_PATTERN = r"^[!-~]{1,80}$"
# A few dozen readings, or the longest order: nothing that is sent here is larger.
BODY_MAX = 64 * 1024
_REFS = "#/components/schemas/{model}"

_ABOUT = """\
Customers, contracts, meters, invoices and payments of the utility.

**Tokens.** Send `Authorization: Bearer mwolo_…`. `mwolo api token create` makes one, with scopes and an end.
**Pages.** Lists are in a fixed order. `next` of a page is `after` of the following one; null ends the list.
**Keys.** A POST may carry `Idempotency-Key`, and must where a repetition would make a second thing. The same key with
the same content gets the first answer again for 48 hours (`Idempotency-Replayed: true`); another content is refused.
**Problems.** `application/problem+json`; decide by `type`, which never changes.
**Money.** Whole minor units with a currency. **Times.** RFC 3339, UTC.
"""


def document(operations: Sequence[AnyOperation], *, version: str) -> Json:
    """The whole document. `version`: of the product."""
    wanted: list[tuple[type[BaseModel], Mode]] = [(Problem, "serialization")]
    for operation in operations:
        if operation.answer is not None:
            wanted.append((operation.answer, "serialization"))
        if operation.has_body:
            wanted.append((operation.body, "validation"))
    _, made = models_json_schema(list(dict.fromkeys(wanted)), ref_template=_REFS)
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Mwolo API", "version": version, "description": _ABOUT},
        "servers": [{"url": "/api/v1"}],
        "tags": [{"name": name} for name in dict.fromkeys(o.tag for o in operations)],
        "paths": paths,
        "components": {
            "schemas": made["$defs"],
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Scopes: " + ", ".join(f"`{s}` ({m})" for s, m in SCOPE_MEANINGS.items()),
                }
            },
        },
    }


def kinds_of(operation: AnyOperation) -> list[Kind]:
    """Every kind of problem that an operation may answer with, in the order of their status."""
    found = {problems.TOO_MANY_REQUESTS, problems.NOT_RECORDED, *operation.problems}
    if operation.scope is not None:
        found |= {problems.NOT_AUTHENTICATED, problems.NOT_ALLOWED}
    if operation.ids.model_fields:
        found.add(problems.NOT_FOUND)
    if operation.query.model_fields:
        found.add(problems.INVALID_INPUT)
    if "after" in operation.query.model_fields:
        found.add(problems.NOT_FOUND)
    if operation.method == "POST":
        found |= {problems.MALFORMED, problems.KEY_IN_HAND, problems.KEY_REUSED, problems.TOO_LARGE}
    if operation.has_body:
        found |= {problems.INVALID_INPUT, problems.NOT_JSON}
    # Fields that nobody declared are refused wherever they are sent.
    found.add(problems.INVALID_INPUT)
    return [kind for kind in problems.KINDS if kind in found]


def _operation(operation: AnyOperation) -> Json:
    told: Json = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": [
            *_parameters(operation.ids, "path"),
            *_parameters(operation.query, "query"),
            *([_key_parameter(operation)] if operation.method == "POST" else []),
        ],
        "responses": {str(operation.status): _success(operation), **_refusals(kinds_of(operation))},
        "security": [{"token": []}] if operation.scope is not None else [],
    }
    scope = f"Scope: `{operation.scope}`." if operation.scope is not None else "Public: no token is needed."
    told["description"] = f"{operation.description}\n\n{scope}".strip()
    if operation.scope is not None:
        told["x-scope"] = operation.scope.value
    if operation.has_body:
        told["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": _REFS.format(model=operation.body.__name__)}}},
        }
    return told


def _parameters(model: type[BaseModel], where: str) -> Iterable[Json]:
    schema = model.model_json_schema()
    needed = set(schema.get("required", ()))
    for name, found in schema.get("properties", {}).items():
        shape = _without_null(found)
        described = shape.pop("description", None)
        shape.pop("title", None)
        parameter: Json = {"name": name, "in": where, "required": where == "path" or name in needed, "schema": shape}
        if described:
            parameter["description"] = described
        yield parameter


def _without_null(shape: Mapping[str, Any]) -> Json:
    """An address has no null: a parameter is there, or it is not."""
    kept = {key: value for key, value in shape.items() if key not in ("anyOf", "default")}
    options = [option for option in shape.get("anyOf", ()) if option != {"type": "null"}]
    if shape.get("default") is not None:
        kept["default"] = shape["default"]
    return {**options[0], **kept} if len(options) == 1 else {**kept, **({"anyOf": options} if options else {})}


def _key_parameter(operation: AnyOperation) -> Json:
    return {
        "name": KEY_HEADER,
        "in": "header",
        "required": operation.key_needed,
        "description": "Yours, one per thing you want done; the same again gets the first answer again.",
        "schema": {"type": "string", "pattern": KEY_PATTERN},
    }


def _success(operation: AnyOperation) -> Json:
    if operation.answer is None:
        pdf = {"schema": {"type": "string", "contentMediaType": "application/pdf"}}
        return {"description": "The document", "content": {"application/pdf": pdf}}
    shape = {"$ref": _REFS.format(model=operation.answer.__name__)}
    told: Json = {"description": operation.summary, "content": {"application/json": {"schema": shape}}}
    if operation.method == "POST":
        told["headers"] = {
            "Idempotency-Replayed": {
                "description": "`true` where this answer was given before under the same key.",
                "schema": {"type": "string", "enum": ["true"]},
            }
        }
    return told


def _refusals(kinds: Sequence[Kind]) -> dict[str, Json]:
    by_status: dict[int, list[Kind]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(kind)
    shape = {"$ref": _REFS.format(model=Problem.__name__)}
    told: dict[str, Json] = {}
    for status, several in by_status.items():
        text = " ".join(f"`{kind.type}`: {kind.title}" for kind in several)
        told[str(status)] = {"description": text, "content": {problems.MEDIA_TYPE: {"schema": shape}}}
    if "401" in told:
        told["401"]["headers"] = {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}}
    if "429" in told:
        told["429"]["headers"] = {"Retry-After": {"required": True, "schema": {"type": "string"}}}
    return told
