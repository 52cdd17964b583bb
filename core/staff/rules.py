"""Who may do what, how long a wrong password costs, what a password must be. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from datetime import datetime, timedelta
from enum import StrEnum

from core.i18n import N_


class Role(StrEnum):
    """Each may do all that the one before it may, and more."""

    VIEWER = "viewer"
    OFFICE = "office"
    FINANCE = "finance"
    ADMIN = "admin"


ROLE_NAMES = {
    Role.VIEWER: N_("Looks on"),
    Role.OFFICE: N_("Office"),
    Role.FINANCE: N_("Finance"),
    Role.ADMIN: N_("Administrator"),
}


class Permission(StrEnum):
    """What a page or an act asks for. A page names one; roles are granted them below and nowhere else."""

    OWN_ACCOUNT = "own account"
    SEE_TODAY = "see today"
    SEE_CUSTOMERS = "see customers"
    GET_RECEIPTS = "get receipts"
    EXPORT_CUSTOMERS = "export customers"
    EXPORT_MONEY = "export money"
    SEE_MONEY = "see money"
    ASK_WALLETS = "ask wallets"
    EDIT_NUMBERS = "edit numbers"
    ASK_REFUNDS = "ask refunds"
    DECIDE_REFUNDS = "decide refunds"
    PLACE_MONEY = "place money"
    RECONCILE = "reconcile"
    SEE_PAYERS = "see payers"
    SEE_AGENTS = "see agents"
    TAKE_CASH = "take cash"
    WRITE_INVOICES = "write invoices"
    ISSUE_INVOICES = "issue invoices"
    CREDIT_INVOICES = "credit invoices"
    WRITE_OFF = "write off"
    STOP_AGENTS = "stop agents"
    RUN_AGENTS = "run agents"
    LINK_PHONES = "link phones"
    WORK_CASES = "work cases"
    CANCEL_PROMISES = "cancel promises"
    SEE_AUDIT = "see audit"
    WORK_READINGS = "work readings"
    SEE_TOKENS = "see tokens"
    SWITCH_ON = "switch on"
    SET_TARIFFS = "set tariffs"
    SEE_PAYROLL = "see payroll"
    RUN_PAYROLL = "run payroll"
    CLOSE_PAYROLL = "close payroll"
    RUN_AGENCIES = "run agencies"
    RUN_TOKENS = "run tokens"
    RUN_STAFF = "run staff"
    IMPORT_FILES = "import files"
    WORK_QUEUES = "work queues"
    HOLD_CUTS = "hold cuts"
    STOP_CUTS = "stop cuts"
    RUN_DUNNING = "run dunning"


_ADDED: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: frozenset({Permission.OWN_ACCOUNT, Permission.SEE_TODAY, Permission.SEE_CUSTOMERS}),
    Role.OFFICE: frozenset(
        {
            Permission.GET_RECEIPTS,
            # A reading that nobody believes, and the digits that a customer lost.
            Permission.WORK_READINGS,
            Permission.SEE_TOKENS,
            Permission.EXPORT_CUSTOMERS,
            Permission.SEE_MONEY,
            Permission.ASK_WALLETS,
            Permission.EDIT_NUMBERS,
            Permission.ASK_REFUNDS,
            Permission.WORK_CASES,
            Permission.CANCEL_PROMISES,
            # What only keeps the light on needs no senior either: a hold within the policy's limits, the brake.
            Permission.HOLD_CUTS,
            Permission.STOP_CUTS,
            Permission.SEE_AGENTS,
            Permission.TAKE_CASH,
            # A draft is owed by nobody.
            Permission.WRITE_INVOICES,
            # Whoever sits at the counter sees the card that the person shows.
            Permission.LINK_PHONES,
            # What only makes an agent safer needs no senior: a phone was stolen, a SIM was changed.
            Permission.STOP_AGENTS,
        }
    ),
    # Money that nobody asked for came from a stranger's phone: whole numbers of those are shown from here on.
    Role.FINANCE: frozenset(
        {
            Permission.EXPORT_MONEY,
            # What things cost, and light that somebody may still owe for.
            Permission.SET_TARIFFS,
            Permission.SWITCH_ON,
            Permission.DECIDE_REFUNDS,
            # What is owed: made so, and lowered on a paper.
            Permission.ISSUE_INVOICES,
            Permission.CREDIT_INVOICES,
            Permission.PLACE_MONEY,
            Permission.RECONCILE,
            Permission.SEE_PAYERS,
            # What customers are told of where to go and when.
            Permission.RUN_AGENCIES,
            # Who sells, how much, for what share, and a PIN that opens a float.
            Permission.RUN_AGENTS,
            # What can bring a cut nearer: the policy, letting cuts go on, ending a protection.
            Permission.RUN_DUNNING,
            # What people earn is nobody else's business; a run is closed by another person than who opened it.
            Permission.SEE_PAYROLL,
            Permission.RUN_PAYROLL,
            Permission.CLOSE_PAYROLL,
            # Customers, contracts, meters and balances of another system: balances need a second person besides.
            Permission.IMPORT_FILES,
            # Work that a machine gave up: again, or never.
            Permission.WORK_QUEUES,
        }
    ),
    # Debts are given up by somebody who takes no money at a counter every day.
    Role.ADMIN: frozenset({Permission.SEE_AUDIT, Permission.WRITE_OFF, Permission.RUN_TOKENS, Permission.RUN_STAFF}),
}


def _granted() -> dict[Role, frozenset[Permission]]:
    granted: dict[Role, frozenset[Permission]] = {}
    so_far: frozenset[Permission] = frozenset()
    for role in Role:
        so_far |= _ADDED[role]
        granted[role] = so_far
    return granted


GRANTED = _granted()


def may(role: Role, permission: Permission) -> bool:
    return permission in GRANTED[role]


# Real time. Source: OWASP ASVS 5.0, 7.3 (idle and absolute life of a session), as the design sets it.
IDLE = timedelta(minutes=15)
LONGEST = timedelta(hours=8)
# A session's last sight is written at most this often: a page view need not be a write.
SEEN_EVERY = timedelta(minutes=1)

# Four slips are human. After that each further wrong try doubles the wait, so that 1,000 guesses take six weeks.
FREE_TRIES = 4
_FIRST_WAIT_S = 30
_LONGEST_WAIT_S = 3600


def wait_after(failures: int) -> timedelta:
    """How long the account rests after so many wrong tries in a row."""
    over = failures - FREE_TRIES
    if over <= 0:
        return timedelta(0)
    return timedelta(seconds=min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** min(over - 1, 12)))


# What acts by itself, as the journal and the audit log call it: a person of that name would act in its stead there.
# Programs are `api:NAME`.
_MACHINES = frozenset(
    {
        "system", "sweep", "cli", "seed", "push", "callback", "query", "answer", "rescue", "statement", "settlement",
        "reconcile", "counter", "payment", "payroll", "prepaid", "bill", "closing", "meter", "bridge", "scenario",
        "console", "agent",
    }
)  # fmt: skip


def is_machine(login: str) -> bool:
    """Whether a login is what a machine or a program is called by."""
    return login in _MACHINES or ":" in login


# A password that somebody else made, for the first log-in. Handed over on a Friday it still opens on Monday.
ONE_TIME = timedelta(hours=72)
# Without letters and digits that look alike; 16 of them are 79 bits.
_ONE_TIME_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


def one_time_password() -> str:
    """Four groups of four, to be read out and typed once."""
    return "-".join("".join(secrets.choice(_ONE_TIME_LETTERS) for _ in range(4)) for _ in range(4))


PASSWORD_MIN, PASSWORD_MAX = 12, 200
# Twelve characters or more and still the first that anybody tries.
_COMMON = frozenset(
    {
        "123456789012", "1234567890123", "12345678901234", "motdepasse123", "motdepasse1234", "password1234",
        "passwordpassword", "motdepassemotdepasse", "qwertyuiop12", "azertyuiop12", "azertyuiop123", "qwertyuiop123",
        "administrateur", "administrator", "bonjourbonjour", "electricite1", "electricite123", "changemechangeme",
        "letmeinletmein", "iloveyou1234", "kinshasa1234", "kinshasa2025", "kinshasa2026", "lubumbashi12",
    }
)  # fmt: skip


def password_fault(password: str, login: str) -> str | None:
    """What is wrong with a new password, as a msgid; None when it will do. Source: ASVS 5.0, 6.2."""
    if len(password) < PASSWORD_MIN:
        return N_("A password has at least 12 characters.")
    if len(password) > PASSWORD_MAX:
        return N_("A password has at most 200 characters.")
    plain = password.casefold()
    if plain in _COMMON or len(set(plain)) < 4 or (len(login) > 3 and login.casefold() in plain):
        return N_("This password is too easy to guess.")
    return None


def chain_key(secret_key: str) -> bytes:
    """The key of the audit log's links: whoever can only write to the database cannot forge one."""
    return hmac.new(secret_key.encode(), b"mwolo audit chain 1", hashlib.sha256).digest()


def audit_hash(key: bytes, previous: str, at: datetime, actor: str, act: str, subject: str, detail: str) -> str:
    """The link of the chain: HMAC-SHA256 over the row and the link before it. `at`: aware, UTC."""
    row = json.dumps([previous, at.isoformat(), actor, act, subject, detail], ensure_ascii=False, separators=(",", ":"))
    return hmac.new(key, row.encode(), hashlib.sha256).hexdigest()


# What stands before the first row.
AUDIT_START = "0" * 64
