"""Wallet operators in the box. Each speaks its protocol on the wire and keeps its own ledger."""
