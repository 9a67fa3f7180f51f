"""Requests of a client to the cluster besides tasks: workers, plugins, copies, dumps, notes."""
