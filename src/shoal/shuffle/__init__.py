"""Shuffles, joins and rechunks: each input is written once, in parts, and outputs read their parts
where they are.

An input's task returns a `Partitioned`: an ordinary value of the worker's store, so that recovery,
memory policy and spilling apply to it as to any other. The task of an output depends on all of them
and is brought none: it reads one part of each (`reading`), by shared memory, from a spill file, or
over the network. The meaning of the bytes is known to `frames` and `arrays`; graphs are made in
`shoal.client.collections`. Nothing here decides where and when something runs.
"""
