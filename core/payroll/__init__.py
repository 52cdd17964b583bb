"""Payroll: who is paid what, each month, and how it comes about."""
