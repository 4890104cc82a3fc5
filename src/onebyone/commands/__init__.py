"""One-shot commands, which run next to the roles: accounts, events as they pass, dead letters, missing batches."""
