"""Mwolo."""
