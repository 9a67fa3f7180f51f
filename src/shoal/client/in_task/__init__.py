"""The client inside a task."""
