"""What a client asks of the cluster besides tasks: workers, plugins, copies, dumps, notes."""
