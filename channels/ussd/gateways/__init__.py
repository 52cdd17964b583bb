"""One module per aggregator: its fields, its answers, and nothing else."""
