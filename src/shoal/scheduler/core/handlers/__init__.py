"""Handlers of messages: one module per kind of peer, one function per message."""
