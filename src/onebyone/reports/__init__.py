"""The report engine: reports made in the background from the report store, as CSV files."""
