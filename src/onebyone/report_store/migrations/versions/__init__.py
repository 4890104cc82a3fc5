"""Revisions of the report store; `revision` numbers their order."""
