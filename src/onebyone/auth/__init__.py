"""Who calls: passwords, sessions and their tokens."""
