"""The journal of USSD turns."""
