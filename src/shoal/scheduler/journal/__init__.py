"""The journal's file, its lease, and how a scheduler begins from it. What is written is decided in
`shoal.scheduler.core.journal`.
"""
