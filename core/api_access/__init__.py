"""Programs that may ask us: their tokens, what each may do, and the requests they have sent."""
