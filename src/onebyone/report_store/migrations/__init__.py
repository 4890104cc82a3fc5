"""Alembic environment of the report store."""
