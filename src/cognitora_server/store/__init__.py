"""Remembers: SQLAlchemy over SQLite by default. Speaks to the rest in domain types only."""

from .database import Database
from .store import Store

__all__ = ["Database", "Store"]
