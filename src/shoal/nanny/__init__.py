"""Nannies: processes that start workers, watch them, and start them again when they die.

`core` decides, `process` and `child` are the two ends of a process of ours, `nanny` is the server.
"""
