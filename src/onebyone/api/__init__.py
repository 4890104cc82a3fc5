"""The config API role: REST services for traffickers and their scripts, the system of record, and its publisher."""
