"""Revisions of the configuration store; `revision` numbers their order."""
