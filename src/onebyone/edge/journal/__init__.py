"""The journal of an edge process: group commit, disk sync, reading and shipping."""
