"""What each queue does with a row: one module a feature, one call of a service a row."""
