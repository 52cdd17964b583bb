"""pawaPay (API v2): one contract for the Congolese wallets. Deposits, refunds, statements, and what can be checked."""

from channels.wallets.operators.pawapay.wallet import PawapayConfig, PawapayWallet, customer_message

__all__ = ["PawapayConfig", "PawapayWallet", "customer_message"]
