"""`mwolo wallets`: what of a wallet's configuration works, in plain words. Moves no money, prints no secret.

A wallet's own questions to its operator are its `check()`; here is what is the same for all of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Protocol, runtime_checkable
from urllib.parse import urlsplit

from redis.exceptions import RedisError

from core.kernel.clock import Clock
from core.kernel.errors import PartnerDown, PartnerError, ServiceError
from core.partner_http import PartnerHttp, redact
from core.payments.model import BRAND_NAMES
from core.payments.ports import Capabilities, Checkable, Finding, Wallet

# Source: Daraja's rules for addresses; whoever keeps them satisfies every other operator too.
_FORBIDDEN = ("m-pesa", "mpesa", "safaricom", "exec", "exe", "cmd", "sql", "query")
_FITS_A_PATH = re.compile(r"[A-Za-z0-9_-]+")
_SECRET_MIN = 16
# Tokens, signatures and "too late" are all measured in minutes.
_CLOCK_OFF_MAX_S = 30
_TIMEOUT_S = 10.0
_KINDS = ("callback", "validate", "confirm", "result", "timeout")


@runtime_checkable
class RegistersBillNumber(Protocol):
    """A wallet whose operator must be told where to ask about payments by bill number."""

    def register_bill_number(self, validate_url: str, confirm_url: str) -> Finding: ...


class NotSetUp(ServiceError):
    """A wallet that was named but has no credentials, or that nobody ever registered. A whole sentence."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where operators reach us. `secrets`: all that are valid; the first is the one given out. `local`: nobody outside
    is meant to reach it, because the operators are the sandbox's."""

    public_url: str
    secrets: Sequence[str]
    local: bool = False


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything a check looks at. `names`: every wallet there is → the setting without which it is not offered.
    `base_urls`: their operators' addresses. `callback_bases`: our addresses for those set up, without the kind.
    `hidden`: what is never printed, whoever says it."""

    wallets: Mapping[str, Wallet]
    names: Mapping[str, str]
    base_urls: Mapping[str, str]
    callback_bases: Mapping[str, str]
    routes: Mapping[str, Sequence[str]]
    door: Door
    clock: Clock
    hidden: Sequence[str] = ()
    # Wallets whose callbacks are taken from named networks only.
    fenced: Collection[str] = ()

    def named(self, name: str) -> Wallet:
        """Raises NotSetUp."""
        if name not in self.names:
            raise NotSetUp(f"There is no wallet {name}. There are: {', '.join(sorted(self.names))}.")
        if name not in self.wallets:
            raise NotSetUp(f"{name} is not set up: {self.names[name]} is empty.")
        return self.wallets[name]


def check_wallet(desk: Desk, name: str, http: PartnerHttp) -> list[Finding]:
    """Everything about one wallet: what it can, who uses it, our address, its own questions, the clock."""
    wallet = desk.named(name)
    found = [Finding(True, capabilities_line(wallet.can)), *_used_by(desk, name)]
    found.extend(callback_findings(desk.door, desk.callback_bases.get(name, "")))
    if wallet.can.bill_number and name not in desk.fenced:
        advice = f"Name the operator's networks in MWOLO_HOOK_SOURCES ({name}=network|network): its confirmations are "
        found.append(Finding(None, "Whoever knows the callback address can tell of payments by bill number.",
                             advice + "booked as they come, for nobody can be asked about them."))  # fmt: skip
    own = _own_findings(wallet)
    found.extend(own)
    if not any("clock" in finding.what.lower() for finding in own):
        found.extend(host_findings(http, desk.base_urls.get(name, ""), desk.clock))
    return [_without_secrets(finding, desk) for finding in found]


def check_routes(desk: Desk) -> list[Finding]:
    """Whether the setting that says who collects for which brand fits the wallets there are."""
    found: list[Finding] = []
    for brand, names in desk.routes.items():
        if brand not in BRAND_NAMES:
            found.append(Finding(False, f"MWOLO_WALLET_ROUTES names {brand}, which no customer can choose."))
        for name in names:
            if name not in desk.names:
                found.append(Finding(False, f"MWOLO_WALLET_ROUTES names {name} for {brand}: no such wallet."))
        ready = [name for name in names if name in desk.wallets]
        if ready:
            found.append(Finding(True, f"{BRAND_NAMES.get(brand, brand)} is collected by {', then '.join(ready)}."))
        else:
            advice = f"Set one of them up: {', '.join(names)}. Until then it is not offered."
            found.append(Finding(None, f"{BRAND_NAMES.get(brand, brand)}: none of its wallets is set up.", advice))
    return found


def register_bill_number(desk: Desk, name: str) -> Finding:
    """Tell the operator where it asks about payments by bill number. Raises NotSetUp."""
    wallet = desk.named(name)
    if not isinstance(wallet, RegistersBillNumber) or not wallet.can.bill_number:
        return Finding(False, f"{name} takes no payments by bill number.")
    trouble = [one for one in callback_findings(desk.door, desk.callback_bases.get(name, "")) if one.ok is False]
    if trouble:
        return _without_secrets(trouble[0], desk)
    base = desk.callback_bases[name]
    return _without_secrets(wallet.register_bill_number(f"{base}/validate", f"{base}/confirm"), desk)


def lines(findings: Sequence[Finding]) -> Iterator[str]:
    """The findings as they are printed: what is wrong stands out, and what to do is under it."""
    for finding in findings:
        mark = {True: "ok", False: "WRONG", None: "?"}[finding.ok]
        yield f"  {mark:<6} {finding.what}"
        if finding.advice:
            yield f"         {finding.advice}"


def capabilities_line(can: Capabilities) -> str:
    """What the wallet declares, in one line."""
    money = ", ".join(f"{currency} with {n} decimals" if n else currency for currency, n in can.decimals.items())
    parts = [
        f"Takes {money}",
        f"query by own id: {_yes(can.query_by_own_id)}",
        f"proof of a callback: {can.callback_proof}",
        f"refunds: {can.refunds}",
        f"statements by API: {_yes(can.statements)}",
        f"bill number: {_yes(can.bill_number)}",
        f"first question after {can.query_slots_s[0]} s",
        f"{can.calls_per_minute} calls a minute",
    ]
    return "; ".join(parts) + "."


def callback_findings(door: Door, base: str) -> list[Finding]:
    """Whether operators can reach the address that we give them, and will take it."""
    if not base:
        return [Finding(False, "There is no callback address.", "Set MWOLO_PUBLIC_URL and MWOLO_HOOK_SECRETS.")]
    found = [_reachable(door)]
    address = base.lower()
    word = next((word for word in _FORBIDDEN if any(word in f"{address}/{kind}" for kind in _KINDS)), None)
    if word is not None:
        advice = "Some operators refuse such addresses: choose another host name or another MWOLO_HOOK_SECRETS."
        found.append(Finding(False, f"The callback address contains the word {word}.", advice))
    given = door.secrets[0] if door.secrets else ""
    if not _FITS_A_PATH.fullmatch(given):
        advice = "Use letters, digits, - and _ only."
        found.append(Finding(False, "The first of MWOLO_HOOK_SECRETS cannot stand in an address.", advice))
    elif len(given) < _SECRET_MIN and not door.local:
        advice = f"Use at least {_SECRET_MIN} random letters and digits."
        found.append(Finding(False, "The first of MWOLO_HOOK_SECRETS is so short that it can be guessed.", advice))
    return found


def host_findings(http: PartnerHttp, base_url: str, clock: Clock) -> list[Finding]:
    """Whether the operator's host answers at all, and how far our clock is from its own."""
    if not base_url:
        return []
    host = urlsplit(base_url).netloc
    try:
        reply = http.get_json(base_url, timeout_s=_TIMEOUT_S, read_errors=True)
    except PartnerDown as down:
        if not down.sent or down.code in ("timeout", "cut"):
            advice = "Look at the address, at our own way out, and whether they let our address in."
            return [Finding(False, f"{host} does not answer: {down.code}.", advice)]
        return [Finding(True, f"{host} answers."), Finding(None, "Its clock is not known.")]
    except PartnerError as error:
        return [Finding(True, f"{host} answers: {error.code}."), Finding(None, "Its clock is not known.")]
    return [Finding(True, f"{host} answers."), clock_finding(reply.headers.get("date", ""), clock)]


def clock_finding(date_header: str, clock: Clock) -> Finding:
    """Our time beside the one that stands in an operator's answer."""
    try:
        theirs = parsedate_to_datetime(date_header)
        off_s = round((clock.real_now() - theirs).total_seconds())
    except (ValueError, TypeError):  # none there, or without a zone
        return Finding(None, "Its clock is not known: the answer names no time.")
    if abs(off_s) > _CLOCK_OFF_MAX_S:
        return Finding(False, f"Our clock is {off_s:+d} s from theirs.", "Let this machine keep its time by NTP.")
    return Finding(True, f"Our clock is {off_s:+d} s from theirs.")


def _reachable(door: Door) -> Finding:
    parts = urlsplit(door.public_url)
    host = parts.hostname or ""
    if door.local:
        return Finding(True, f"Callbacks go to {host}: the sandbox's operators reach it, nobody else.")
    if parts.scheme != "https":
        return Finding(
            False, f"MWOLO_PUBLIC_URL is {parts.scheme or 'no address'}, not https.", "Operators want https."
        )
    if _is_private(host):
        advice = "Set MWOLO_PUBLIC_URL to the name under which operators reach this server."
        return Finding(False, f"Nobody outside reaches {host}.", advice)
    return Finding(True, f"Callbacks go to {host} by https.")


def _is_private(host: str) -> bool:
    if host == "localhost" or "." not in host.strip(".") or host.endswith((".localhost", ".local", ".internal")):
        # Without a dot it is a name of this network, unless it is an address of the sixth version.
        return ":" not in host or ip_address(host).is_private
    try:
        return not ip_address(host).is_global
    except ValueError:
        return False


def _own_findings(wallet: Wallet) -> Sequence[Finding]:
    if not isinstance(wallet, Checkable):
        return [Finding(None, "This wallet cannot look at its own keys.")]
    try:
        return wallet.check()
    except RedisError as error:
        advice = "Look at MWOLO_REDIS_URL: tokens of operators are kept there for all processes."
        return [Finding(False, f"Redis does not answer: {type(error).__name__}.", advice)]


def _used_by(desk: Desk, name: str) -> list[Finding]:
    brands = [BRAND_NAMES.get(brand, brand) for brand, names in desk.routes.items() if name in names]
    if brands:
        return [Finding(True, f"Collects for {', '.join(brands)}.")]
    advice = "Name it in MWOLO_WALLET_ROUTES."
    return [Finding(False, "Set up, but no route names it: it is never used.", advice)]


def _without_secrets(finding: Finding, desk: Desk) -> Finding:
    secrets = (*desk.door.secrets, *desk.hidden)
    return Finding(finding.ok, redact(finding.what, secrets), redact(finding.advice, secrets))


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"
