"""A worker as tasks, plugins and monitoring see it: the documented names, as views over the core,
the pool and the store.

A view is made when somebody looks, and costs nobody else.
"""
