"""Actors as their callers see them: proxies, futures of calls, and their connections.

The instances live in `shoal.worker.actors`. Nothing here knows of tasks.
"""
