"""What the pages about cases and promises are built from and share."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flask import request
from werkzeug.exceptions import BadRequest

from core.kernel.ids import new_uuid
from core.services.cases import Cases
from core.services.promises import Promises

_KEY = re.compile(r"[0-9a-f-]{36}")


@dataclass(frozen=True, slots=True)
class CaseParts:
    """The services behind /admin/cases and /admin/promises."""

    cases: Cases
    promises: Promises


def form_key() -> str:
    """Names one form for ever, so that sending it twice does it once."""
    return new_uuid()


def sent_key() -> str:
    """The key of the form that was sent. Raises BadRequest for what no form of ours carries."""
    key = request.form.get("key", "")
    if not _KEY.fullmatch(key):
        raise BadRequest
    return key
