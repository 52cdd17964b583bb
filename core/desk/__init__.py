"""What the back office looks up. Reads every feature's tables, writes none; every list is bounded."""
