"""Futures, waiting for them, and their results."""
