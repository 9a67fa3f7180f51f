"""Plugins at the scheduler: its own, and the registries of those for workers and nannies."""
