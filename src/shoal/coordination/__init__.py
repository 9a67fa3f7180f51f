"""Queues, variables, locks, events, semaphores and topics: what users see of them.

Each is a name and a way to ask the scheduler about it (`asking`); what they mean is decided in
`shoal.scheduler.core.coordination`. Nothing of them is kept here but who holds what.
"""
