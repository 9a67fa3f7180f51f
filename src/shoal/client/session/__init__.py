"""Where threads meet the loop: the session around the client's core, its connection and latches."""
