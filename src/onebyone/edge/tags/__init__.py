"""Tag requests: parsing the query and the client, deciding the response, and the reasons for not counting."""
