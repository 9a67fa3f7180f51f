"""What messages mean: one module per kind of peer, one function per message."""
