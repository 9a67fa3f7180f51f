"""Views of the cluster for a client: progress, profiles, reports, events."""
