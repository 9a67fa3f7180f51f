"""The worker: a process that runs tasks and keeps their results."""
