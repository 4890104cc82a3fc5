"""Figures, not verdicts: what an event costs at the edge and behind it, beside nginx, and how that grows."""
