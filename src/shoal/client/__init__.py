"""The client: `Client`, `Future`, and the functions that wait for futures."""
