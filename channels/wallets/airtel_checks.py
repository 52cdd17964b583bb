"""What `wallets check` can find out about Airtel Money without moving money."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit

from channels.wallets.airtel_signing import SigningKey
from core.kernel.clock import Clock
from core.kernel.errors import PartnerError
from core.kernel.ids import own_reference
from core.partner_http import Reply
from core.payments.ports import Capabilities, Finding, NotFound, QueryAnswer

# Tokens live minutes: a clock that is off by more makes live ones look dead, and the other way round.
_CLOCK_TOLERANCE_S = 30
_CONFIGURATION_CODES = ("ESB000034", "ESB000035", "ESB000039", "ROUTER")


class _Config(Protocol):
    @property
    def base_url(self) -> str: ...
    @property
    def country(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def callback_hash(self) -> str: ...
    @property
    def callback_hash_required(self) -> bool: ...
    @property
    def callback_url(self) -> str: ...


class CheckedWallet(Protocol):
    """As much of the wallet as the checks need."""

    clock: Clock
    can: Capabilities

    @property
    def config(self) -> _Config: ...
    def ask_token(self) -> Reply: ...
    def fetch_key(self) -> SigningKey: ...
    def enquire(self, own_ref: str, currency: str) -> QueryAnswer: ...


def check_wallet(wallet: CheckedWallet) -> Sequence[Finding]:
    """Host, keys, clock, rights per currency, signing key, callback. Never raises for what a network does."""
    config = wallet.config
    found = [_address(config.base_url)]
    try:
        reply = wallet.ask_token()
    except PartnerError as error:
        advice = "Look at base_url, at our outbound address on their list, and at Airtel's own state."
        found.append(Finding(False, f"No token: {error.code}.", advice))
    else:
        found.append(_token(reply))
        found.append(_clock(reply, wallet.clock.real_now()))
        if found[-2].ok:
            found.extend(_rights(wallet))
            if config.version == "v2":
                found.append(_signing_key(wallet))
    found.append(_callback_address(config.callback_url))
    found.append(_callback_hash(config))
    return found


def _address(base_url: str) -> Finding:
    parts = urlsplit(base_url)
    if parts.hostname in ("localhost", "127.0.0.1", "::1"):
        return Finding(None, f"The address {base_url} is on this machine: a sandbox, no real money.")
    if parts.scheme != "https" or not parts.hostname:
        return Finding(False, f"The address {base_url} is not https.", "Use https://openapi.airtel.cd, or openapiuat.")
    test = "openapiuat" in parts.hostname
    return Finding(True, f"The host is {parts.hostname}{': Airtel’s test system, no real money' if test else ''}.")


def _token(reply: Reply) -> Finding:
    if reply.ok and reply.text_at("access_token") is not None:
        return Finding(True, f"A token was given, for {reply.text_at('expires_in') or 'an unknown number of'} s.")
    said = reply.text_at("error") or reply.text_at("status.message") or "no reason given"
    advice = "Compare client_id and client_secret with the portal: test and production have different ones."
    return Finding(False, f"No token: status {reply.status}, {said[:80]}.", advice)


def _clock(reply: Reply, now: datetime) -> Finding:
    try:
        theirs = parsedate_to_datetime(reply.headers.get("date", ""))
    except ValueError:
        return Finding(None, "Their clock is not known: the answer names no time.")
    if theirs.tzinfo is None:
        theirs = theirs.replace(tzinfo=UTC)
    off_s = round((now - theirs).total_seconds())
    advice = "Let this machine keep the time by NTP." if abs(off_s) > _CLOCK_TOLERANCE_S else ""
    return Finding(not advice, f"Our clock differs from theirs by {off_s} s.", advice)


def _rights(wallet: CheckedWallet) -> Iterator[Finding]:
    """Ask about a transaction that cannot exist: "no such transaction" shows that country, currency and route work."""
    for currency in wallet.can.decimals:
        answer = wallet.enquire(own_reference(), currency)
        where = f"country {wallet.config.country}, currency {currency}"
        if isinstance(answer, NotFound):
            yield Finding(True, f"Questions are answered for {where}.")
            continue
        code = getattr(answer, "why", type(answer).__name__)
        refused = str(code).startswith(_CONFIGURATION_CODES) or code in ("token_refused", "http_403")
        advice = "Ask Airtel to enable the product Collection for it." if refused else "Try again later."
        yield Finding(False if refused else None, f"A question was not answered for {where}: {code}.", advice)


def _signing_key(wallet: CheckedWallet) -> Finding:
    try:
        key = wallet.fetch_key()
    except PartnerError as error:
        return Finding(False, f"No key for signing: {error.code}.", "Ask for message signing, or set version to v1.")
    until = key.valid_until.astimezone(UTC)
    if until <= wallet.clock.real_now():
        return Finding(False, f"The key for signing was valid until {until:%Y-%m-%d %H:%M} UTC.", "Ask Airtel.")
    return Finding(
        True, f"The key for signing has {key.key.key_size} bits and is valid until {until:%Y-%m-%d %H:%M} UTC."
    )


def _callback_address(url: str) -> Finding:
    if not url:
        advice = "Set callback_url to what stands in the portal, so that it can be looked at."
        return Finding(None, "The callback address registered in the portal is not known here.", advice)
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https" or not host or _is_address(host) or "." not in host:
        return Finding(False, "The callback address is not https with a host name.", "Airtel calls no others.")
    if not parts.path.startswith("/hooks/") or not parts.path.endswith("/callback"):
        return Finding(False, "The callback address does not look like /hooks/<slug>/<secret>/callback.")
    return Finding(True, f"The callback address is https on {host}.")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _callback_hash(config: _Config) -> Finding:
    if config.callback_hash == "off":
        return Finding(None, "Callbacks are taken without a hash; each is confirmed by a question anyway.")
    if not config.callback_hash_required:
        return Finding(None, "A callback with a wrong hash is still taken, and the log says which variant fits.")
    return Finding(None, f"Callbacks must carry a hash over the form {config.callback_hash!r}.")
