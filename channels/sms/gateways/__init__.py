"""One module an aggregator."""
