"""Alembic environment of the configuration store."""
