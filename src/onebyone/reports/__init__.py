"""The report service: asynchronous reports from the report store, as CSV."""
