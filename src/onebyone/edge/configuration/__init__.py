"""The configuration of an edge process: the cache in memory, the change stream, and the snapshot on disk."""
