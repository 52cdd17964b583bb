"""Staff users and the audit log."""
