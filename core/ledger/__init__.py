"""Double entry: accounts and transfers. One row per transfer, balanced by construction, insert-only."""
