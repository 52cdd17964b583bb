"""Customers, contracts, meters and opening balances that come from another system as CSV files."""
