"""The edge: answers `/imptr`, `/clktr` and `/clktrb`, and says "recorded" only when the event is on disk."""
