"""The scheduler: a pure core, the shell around it, and what it does on request."""
