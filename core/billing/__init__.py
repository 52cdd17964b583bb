"""Tariffs, invoices and dunning."""
