"""Read-only lists: catalogues, look-ups and label values."""
