"""Revisions of the report store, oldest first by their number."""
