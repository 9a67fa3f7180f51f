"""dask collections on a cluster: graphs in, tasks out. What tasks are is decided in here alone."""
