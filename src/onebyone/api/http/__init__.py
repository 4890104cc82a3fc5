"""What all services share in HTTP: request, body, parameters, token, envelope, errors, rate limit."""
