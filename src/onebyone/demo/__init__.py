"""A sample member with trackers and a trickle of synthetic traffic, by the public HTTP API only."""
