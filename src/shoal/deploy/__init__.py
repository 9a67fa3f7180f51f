"""Clusters: objects that start a scheduler and workers and end them again."""
