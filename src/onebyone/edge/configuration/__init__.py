"""The configuration that an edge answers by: cache, change stream, and the snapshot on disk."""
