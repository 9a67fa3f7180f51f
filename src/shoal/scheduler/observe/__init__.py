"""Records of a scheduler about itself and its workers, and how it tells them."""
