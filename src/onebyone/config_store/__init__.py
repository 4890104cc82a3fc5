"""The configuration store: the system of record, in SQL."""
