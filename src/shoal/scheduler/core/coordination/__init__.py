"""Queues, variables, locks, events, semaphores and topics, the scheduler's side. Pure.

`handling` is where clients' messages come in, `state` is what all primitives share, and each
of the others is one kind of them. Values are opaque bytes here.
"""
