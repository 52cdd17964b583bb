"""Vodacom M-Pesa through the pan-African OpenAPI: payments, reversals, and what can be checked."""

from channels.wallets.operators.vodacom.wallet import VodacomConfig, VodacomWallet

__all__ = ["VodacomConfig", "VodacomWallet"]
