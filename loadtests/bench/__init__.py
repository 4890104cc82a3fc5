"""Measure what an event costs at the edge and after it, compared with nginx, and how that cost grows."""
