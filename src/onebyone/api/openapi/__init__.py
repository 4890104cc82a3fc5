"""The API's description of itself: the OpenAPI document, read from the table of entities, and a page to try it on."""
