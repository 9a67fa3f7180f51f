"""The journal's file, its lease, and how a scheduler begins from it. Its contents are decided in
`shoal.scheduler.core.journal`.
"""
