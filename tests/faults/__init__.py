"""Faults against the whole product, with an account of every answer."""
