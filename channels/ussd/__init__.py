"""The USSD channel: one request and its answer is a turn."""
