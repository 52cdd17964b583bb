"""Promises to pay: a hold of the cut until a day the customer named."""
