"""Publishes the configuration store to the cache server."""
