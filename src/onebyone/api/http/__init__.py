"""HTTP of the API: request, body, parameters, envelope, rate limit."""
