"""What runs users' code on a worker: threads, the loop for coroutines, and named executors."""
