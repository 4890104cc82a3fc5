"""A sample member with trackers and a trickle of synthetic traffic, made over the public HTTP API only."""
