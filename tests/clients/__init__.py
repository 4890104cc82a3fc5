"""Clients of the original API, written by others and installed unmodified, against a running product."""
