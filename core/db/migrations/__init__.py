"""The shapes of the database, one file a change."""
