"""The report store: the counter writes it, reports are made from it."""
