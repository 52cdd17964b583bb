"""The small utility that a demo starts with: who lives where, with which phone, and what they owe. Pure data."""
