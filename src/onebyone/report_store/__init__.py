"""The report store: what the counter writes in one transaction a read, and what reports are made of."""
