"""Attempts, payments, and the port to the wallets."""
