"""What schemathesis asks of one operation. Imported only where it is installed."""

from __future__ import annotations

from typing import Any

import hypothesis
from flask import Flask
from schemathesis import Case, GenerationMode, openapi
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

EXAMPLES = 5
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    positive_data_acceptance,
]


def operations(app: Flask) -> list[APIOperation[Any, Any, Any, Any]]:
    schema = openapi.from_wsgi("/api/v1/openapi.json", app)
    return [result.ok() for result in schema.get_all_operations()]


def ask(operation: APIOperation[Any, Any, Any, Any], secret: str, *, allowed: bool) -> None:
    """Send what the document allows, or what it forbids. Not through its pytest plugin, which wants an older pytest."""
    mode = GenerationMode.POSITIVE if allowed else GenerationMode.NEGATIVE

    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    @hypothesis.settings(
        max_examples=EXAMPLES, database=None, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    def each(case: Case) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {secret}"}, checks=CHECKS)

    try:
        each()
    except hypothesis.errors.Unsatisfiable:
        # An operation without parameters: nothing can be sent that the document forbids.
        assert not allowed
