"""The operator's work on members and users, and the first start on an empty store."""
