"""The counter: reads the event streams and counts each batch exactly once into the report store."""
