"""How the API describes itself: the OpenAPI document, built from the table of entities, and a page to try it on."""
