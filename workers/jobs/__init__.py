"""One module a feature: `handlers(...)` says which kinds of outbox rows it carries out, and how."""
