"""Tests of the OpenAPI document and of the page that shows it."""
