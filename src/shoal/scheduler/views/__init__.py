"""A scheduler as plugins, preloads and `run_on_scheduler` functions see it: the documented
names, as views over the core.

A view is made when somebody looks, and keeps nothing of its own: it costs nobody else. Decisions,
and anything that the core would have to do for them, do not belong here.
"""
