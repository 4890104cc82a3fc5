"""The edge role: answers `/imptr`, `/clktr` and `/clktrb`, and says "recorded" only once the event is on disk."""
