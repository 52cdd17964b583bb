"""What a token may do, what it looks like, how long things are kept. Pure."""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from enum import StrEnum

from core.i18n import N_
from core.kernel.ids import token


class Scope(StrEnum):
    """One thing that a token may do. An operation names one; a token carries those it was given."""

    CUSTOMERS_READ = "customers:read"
    CUSTOMERS_WRITE = "customers:write"
    CONTRACTS_READ = "contracts:read"
    CONTRACTS_WRITE = "contracts:write"
    READINGS_READ = "readings:read"
    READINGS_WRITE = "readings:write"
    INVOICES_READ = "invoices:read"
    INVOICES_ISSUE = "invoices:issue"
    PAYMENTS_READ = "payments:read"
    PAYMENTS_DECLARE = "payments:declare"
    PAYMENTS_CONFIRM = "payments:confirm"
    AGENTS_READ = "agents:read"


SCOPES = frozenset(scope.value for scope in Scope)
# What it lets a program do, for the page of the API (in English, as all of it) and for the office.
SCOPE_MEANINGS = {
    Scope.CUSTOMERS_READ: N_("read customers and their phone links"),
    Scope.CUSTOMERS_WRITE: N_("write customers, confirm and remove phone links"),
    Scope.CONTRACTS_READ: N_("read sites, meters and contracts"),
    Scope.CONTRACTS_WRITE: N_("write sites, meters and contracts"),
    Scope.READINGS_READ: N_("read what meters showed"),
    Scope.READINGS_WRITE: N_("write readings"),
    Scope.INVOICES_READ: N_("read invoices and their PDF"),
    Scope.INVOICES_ISSUE: N_("validate and send invoices, have their PDF made"),
    Scope.PAYMENTS_READ: N_("read payments and receipts"),
    Scope.PAYMENTS_DECLARE: N_("declare cash and bank money that came"),
    Scope.PAYMENTS_CONFIRM: N_("confirm declared money: it is booked"),
    Scope.AGENTS_READ: N_("read field agents and their floats"),
}

# A secret that is found in a log, a mail or a repository is known for what it is.
PREFIX = "mwolo_"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,39}")
LIFE_MAX = timedelta(days=730)
# A token's last use is written at most this often: a request need not be a write. Real time.
USED_EVERY = timedelta(minutes=1)
# How long the answer to an idempotency key is kept, and how long somebody may be at work on one. Real time.
ANSWER_KEPT = timedelta(hours=48)
WORK_MAX = timedelta(minutes=2)


def new_token() -> str:
    """256 random bits: guessing is hopeless, so a plain hash keeps it."""
    return PREFIX + token()


def hash_of(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def is_name(name: str) -> bool:
    """Small letters, digits, dot, dash and underscore: it stands in the journal as who did it."""
    return _NAME.fullmatch(name) is not None
