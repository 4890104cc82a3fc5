"""The configuration store: system of record in SQL."""
