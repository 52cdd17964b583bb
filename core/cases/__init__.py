"""Cases: what somebody reports (an outage, a dispute, a complaint), and what is done about it."""
