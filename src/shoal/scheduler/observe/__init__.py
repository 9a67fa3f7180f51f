"""What a scheduler records and tells about itself and its workers."""
