"""Pages of numbers over HTTP, read only: `door` listens, `app` answers, `pages` says what.

Nothing here is loaded before somebody visits, except `door`. Nothing may change the cluster.
"""
