"""Statements and errors that SQLite and PostgreSQL share but SQLAlchemy spells differently."""

from __future__ import annotations

from sqlalchemy import Insert, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError as SqlDataError
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError, StatementError


def insert_new(dialect: str, table: Table) -> Insert:
    """Return an INSERT that skips rows whose primary key exists."""
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


def is_refusal(error: BaseException) -> bool:
    """Return whether the store is reachable and refuses these values, so that a retry cannot succeed."""
    if isinstance(error, DBAPIError):
        # SQLSTATE classes of PostgreSQL: 22 data exception, 23 integrity constraint violation.
        state = str(getattr(error.orig, "sqlstate", None) or "")
        encoding = isinstance(error.orig and error.orig.__cause__, ValueError)
        return isinstance(error, SqlDataError | IntegrityError) or encoding or state[:2] in ("22", "23")
    return isinstance(error, StatementError) or not isinstance(error, SQLAlchemyError)
