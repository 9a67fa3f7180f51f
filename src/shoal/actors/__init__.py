"""Actors as their callers see them: proxies, futures of calls, and the lines that calls travel on.

The instances live in `shoal.worker.actors`. Nothing here knows of tasks.
"""
