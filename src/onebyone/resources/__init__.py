"""The engine of all objects: reads, writes, rules and permissions, without HTTP."""
