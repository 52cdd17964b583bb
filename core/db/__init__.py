"""The database: one door for writing, one for reading, on SQLite and PostgreSQL alike."""

from core.db.base import Base, UtcDateTime
from core.db.engine import Database

__all__ = ["Base", "Database", "UtcDateTime"]
