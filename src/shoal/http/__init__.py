"""Pages of numbers over HTTP, read only: `lazy_server` listens, `app` answers, `pages` say what.

Nothing here is loaded before somebody visits, except `lazy_server`. Nothing may change the cluster.
"""
