"""`/api/docs`: the document as a page. Plain HTML without script: it opens under a strict policy, and offline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, make_response, render_template

from channels.api.problems import KINDS
from core.api_access.rules import SCOPE_MEANINGS

_CSP = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def page(document: Mapping[str, Any]) -> Response:
    """The page of one document."""
    answer = make_response(
        render_template(
            "api/docs.html",
            document=document,
            tags=_by_tag(document),
            kinds=KINDS,
            scopes=SCOPE_MEANINGS,
            shape=_shape,
        )
    )
    answer.headers["Content-Security-Policy"] = _CSP
    answer.headers["Cache-Control"] = "public, max-age=300"
    return answer


def _by_tag(document: Mapping[str, Any]) -> dict[str, list[tuple[str, str, Mapping[str, Any]]]]:
    """tag → its operations as (method, path, operation)."""
    found: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            found[operation["tags"][0]].append((method.upper(), path, operation))
    return found


def _shape(schema: Mapping[str, Any]) -> str:
    """A schema in a few words: `string, 1 to 40 characters`, `Amount or null`, `list of Line`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_shape(option) for option in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if schema.get("type") == "array":
        return f"list of {_shape(schema['items'])}"
    words = [str(schema.get("format") or schema.get("type", "anything"))]
    if "minimum" in schema or "maximum" in schema:
        words.append(f"{schema.get('minimum', '…')} to {schema.get('maximum', '…')}")
    if "maxLength" in schema:
        words.append(f"at most {schema['maxLength']} characters")
    if "default" in schema:
        words.append(f"otherwise {schema['default']}")
    return ", ".join(words)
