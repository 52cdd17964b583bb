"""Desired, reported, commanded: the supply of a meter."""
