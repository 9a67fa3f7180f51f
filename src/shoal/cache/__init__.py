"""Results kept in durable storage, under names that any run, cluster or user finds again.

`store` reads and writes, in a `folders` of this machine or elsewhere; `entries` is one result as
bytes, `packs` are many small ones together; `fingerprint` is what a function is known by; `cached`
and `durable` are calls that are looked up first. Nothing here knows of tasks.
"""
