"""What a client can see of the cluster: progress, profiles, reports, events."""
