"""What meters' registers say, and how far it can be believed."""
