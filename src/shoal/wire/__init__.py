"""Data that travels between processes: messages, codecs, blobs, serialization. No sockets here."""
