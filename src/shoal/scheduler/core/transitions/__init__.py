"""How tasks change. `table` says which changes exist; the other modules make them."""
