"""What travels between processes: messages, their codecs, blobs, serialization. No sockets here."""
