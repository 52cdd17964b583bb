"""Keypad tokens for meters without a radio: one module per kind, behind the port of the supply feature."""
