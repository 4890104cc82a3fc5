"""The engine behind every object: reading, writing, rules and permissions, free of HTTP."""
