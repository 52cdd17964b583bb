"""Screens as data, the journeys they belong to, and what fits on a phone."""
