"""The executors of users' code on a worker: threads, the loop for coroutines, and named ones."""
