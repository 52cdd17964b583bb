"""Version 1: one module a resource, each with its records, its questions and its operations."""

from __future__ import annotations

from channels.api.operation import AnyOperation
from channels.api.parts import ApiParts
from channels.api.v1 import agencies, agents, contracts, customers, invoices, jobs, meters, payments, places, sites


def operations(parts: ApiParts) -> list[AnyOperation]:
    """Everything that version 1 can do, in the order of its page."""
    return [
        *agencies.operations(parts.register, parts.agencies),
        *places.operations(parts.register),
        *customers.operations(parts.register, parts.links, parts.enrolment),
        *sites.operations(parts.register, parts.enrolment),
        *meters.operations(parts.register, parts.readings, parts.enrolment),
        *contracts.operations(parts.register, parts.enrolment),
        *invoices.operations(parts.register, parts.billing, parts.papers, parts.tokens.note),
        *payments.operations(parts.register, parts.counter, parts.receipts),
        *agents.operations(parts.register),
        *jobs.operations(parts.register),
    ]
