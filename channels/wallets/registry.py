"""The mobile-money operators by name. Besides the wiring, the only place that names one."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from channels.wallets.operators.airtel import AirtelConfig, AirtelWallet
from channels.wallets.operators.mpesa_ke import MpesaKeConfig, MpesaKeWallet
from channels.wallets.operators.orange import OrangeConfig, make_orange
from channels.wallets.operators.pawapay import PawapayConfig, PawapayWallet
from channels.wallets.operators.vodacom import VodacomConfig, VodacomWallet
from core.kernel.clock import Clock
from core.partner_http import PartnerHttp
from core.payments.ports import Wallet


@dataclass(frozen=True, slots=True)
class Entry:
    """`config`: the dataclass the wiring fills from the settings `<name>_<field>`. `make`: called with it, and `http`
    and `clock` by keyword, and `session_store` where `shares_sessions`: its token is one for all processes.

    `configured_by`: the field without which the wallet is not offered.
    """

    config: type
    make: Callable[..., Wallet]
    configured_by: str
    shares_sessions: bool = False


WALLETS: Mapping[str, Entry] = {
    "vodacom": Entry(VodacomConfig, VodacomWallet, "api_key", shares_sessions=True),
    "pawapay": Entry(PawapayConfig, PawapayWallet, "api_token"),
    "airtel": Entry(AirtelConfig, AirtelWallet, "client_secret", shares_sessions=True),
    "orange": Entry(OrangeConfig, make_orange, "base_url", shares_sessions=True),
    "mpesa_ke": Entry(MpesaKeConfig, MpesaKeWallet, "consumer_key", shares_sessions=True),
}


def build(name: str, config: object, *, http: PartnerHttp, clock: Clock, **options: Any) -> Wallet:
    """The wallet of this name. Raises KeyError for a name nobody registered, ValueError for a setting that is wrong."""
    entry = WALLETS[name]
    if not isinstance(config, entry.config):
        raise TypeError(f"{name} is configured by {entry.config.__name__}, not {type(config).__name__}")
    return entry.make(config, http=http, clock=clock, **options)


def secrets_of(wallet: Wallet, config: object) -> tuple[str, ...]:
    """The secret values in a wallet's config, for the log redactor."""
    return tuple(value for name in wallet.secrets if (value := getattr(config, name)))


def slug_of(name: str, secret_key: str) -> str:
    """What stands for a wallet in callback addresses: stable, and not its name, which some operators refuse there."""
    return hmac.new(secret_key.encode(), f"wallet-slug:{name}".encode(), hashlib.sha256).hexdigest()[:20]


def slugs(names: Mapping[str, Wallet], secret_key: str) -> dict[str, Wallet]:
    """The wallets by slug, as the callback door wants them."""
    return {slug_of(name, secret_key): wallet for name, wallet in names.items()}
