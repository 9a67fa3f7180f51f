"""dask collections on a cluster: graphs in, tasks out. How they become tasks is decided here."""
