"""Orange Money RDC: one wallet, two APIs. The setting `api` says which one the contract is for."""

from __future__ import annotations

from channels.wallets.operators.orange.b2b import OrangeB2bWallet
from channels.wallets.operators.orange.config import OrangeConfig
from channels.wallets.operators.orange.soap import OrangeSoapWallet
from channels.wallets.sessions import SessionStore
from core.kernel.clock import Clock
from core.partner_http import PartnerHttp

__all__ = ["OrangeB2bWallet", "OrangeConfig", "OrangeSoapWallet", "make_orange"]


def make_orange(
    config: OrangeConfig, *, http: PartnerHttp, clock: Clock, session_store: SessionStore | None = None
) -> OrangeSoapWallet | OrangeB2bWallet:
    """The wallet for the configured API. Raises ValueError naming the setting that cannot be right."""
    if config.api == "soap":
        return OrangeSoapWallet(config, http=http)
    if config.api == "b2b":
        return OrangeB2bWallet(config, http=http, clock=clock, session_store=session_store)
    raise ValueError(f"api is {config.api!r}; it must be soap or b2b")
