"""Classifies events as invalid traffic by their agent and their network: flagged with a reason, never dropped."""
