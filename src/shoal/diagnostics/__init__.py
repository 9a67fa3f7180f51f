"""What people look at to understand a cluster: profiles, task streams, and pages of them.

Nothing here speaks to a cluster; who has the data brings it.
"""
