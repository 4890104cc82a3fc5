"""What a tag request asks for and what it is answered: decisions, redirects, responses and reasons."""
