"""What `wallets check` can find out about Vodacom M-Pesa without moving money."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Protocol

from channels.wallets.operators.vodacom.codes import code_of
from channels.wallets.sessions import Session, SessionNotReady
from core.kernel.errors import PartnerError, PartnerRefused
from core.partner_http import Reply
from core.payments.ports import Finding, Unknown

# What a question about a made-up payment is answered with when everything is in order.
_IN_ORDER = frozenset({"INS-0", "INS-18", "INS-23", "INS-6140"})


class _Config(Protocol):
    @property
    def environment(self) -> str: ...
    @property
    def market(self) -> str: ...
    @property
    def origin(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def service_provider_code(self) -> str: ...


def check_wallet(
    config: _Config, *, take_session: Callable[[], Session], ask: Callable[[str], Reply | Unknown]
) -> Sequence[Finding]:
    """Key, address, session, rights, and what only the portal can tell. Never raises for what a network does."""
    found = [Finding(True, "The public key can be read.")]
    session = _session(config, take_session)
    found.append(session)
    if session.ok:
        found.append(_question(config, ask(uuid.uuid4().hex)))
    if config.environment == "openapi":
        found.append(Finding(True, f"Production, market {config.market}."))
        if config.origin == "*":
            advice = "Production refuses an origin other than the registered one: compare with the portal."
            found.append(Finding(None, "The origin is *, as in the sandbox's samples.", advice))
    else:
        found.append(Finding(True, f"The operator's sandbox ({config.environment}), market {config.market}."))
    found.append(
        Finding(
            None,
            f"The application counts as {'synchronous' if config.mode == 'sync' else 'asynchronous'}.",
            "Compare with the portal, and the session lifetime and the Response URL too: the wrong mode looks like"
            " payments that all fail. Whether CDF and partial reversals are enabled, only the contract tells.",
        )
    )
    return found


def _session(config: _Config, take_session: Callable[[], Session]) -> Finding:
    try:
        take_session()
    except SessionNotReady as warming:
        return Finding(None, f"A session was given and is not live yet ({warming.after_s} s).", "Check again then.")
    except PartnerRefused as refused:
        advice = "API key and public key belong to one environment; origin and our address must be registered."
        return Finding(False, f"No session: {refused.code}.", advice)
    except PartnerError as down:
        advice = "Look at the base URL, at the firewall, and at whether our address is on Vodacom's list."
        return Finding(False, f"Vodacom does not answer: {down.code}.", advice)
    return Finding(True, f"A session can be had for {config.environment}.")


def _question(config: _Config, reply: Reply | Unknown) -> Finding:
    if isinstance(reply, Unknown):
        return Finding(
            False, f"A status question was not answered: {reply.why}.", "Nothing could be found out by query."
        )
    code = code_of(reply)
    if code in _IN_ORDER:
        return Finding(True, "Status questions are answered.")
    if code == "INS-13":
        advice = f"{config.service_provider_code} is not the code of this application."
        return Finding(False, "The service provider code is refused.", advice)
    if code == "INS-998":
        return Finding(False, f"The market {config.market} is refused.", "Look at market and country.")
    advice = "The product 'query transaction status' may not be part of the application."
    return Finding(False, f"A status question was refused: {code or reply.status}.", advice)
