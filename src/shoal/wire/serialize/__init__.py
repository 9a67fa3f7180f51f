"""Serialization as users and extensions see it: families, dispatch by type, marks in messages."""
