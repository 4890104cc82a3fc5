"""Revisions of the configuration store, oldest first by their number."""
