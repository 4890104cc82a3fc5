"""Tests of the config API."""
