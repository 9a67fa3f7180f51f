"""The client's state machine: what is wanted, what is known of it, what to say again. Pure."""
