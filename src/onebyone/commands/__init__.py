"""The one-shot commands beside the roles: accounts, events as they pass, dead letters, missing batches."""
