"""Views of a cluster for people: profiles, task streams, and pages of them.

Nothing here speaks to a cluster; who has the data brings it.
"""
