"""Authentication: passwords, sessions, and the caller that a token stands for."""
