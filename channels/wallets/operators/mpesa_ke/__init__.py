"""Safaricom M-Pesa through Daraja: Kenya and its sandbox; it cannot collect in the DRC. docs/wallets/mpesa_ke.md."""

from channels.wallets.operators.mpesa_ke.wallet import MpesaKeConfig, MpesaKeWallet

__all__ = ["MpesaKeConfig", "MpesaKeWallet"]
