"""Starts the roles as child processes, restarts those that die, and drains them in order."""
