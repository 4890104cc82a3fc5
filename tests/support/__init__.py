"""Real components for the tests: servers, the product itself, a client of its API."""
