"""What tasks, plugins and monitoring see of a worker: the documented names, as views over the core,
the pool and the store.

A view is made when somebody looks, and costs nobody else.
"""
