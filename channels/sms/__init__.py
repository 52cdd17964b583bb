"""Texts out and in: one adapter per aggregator, the registry that names them, the door for their callbacks."""
