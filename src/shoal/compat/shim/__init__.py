"""The folder that goes on `sys.path` and `PYTHONPATH`: in it, `distributed` is shoal.

`shoal shim-path` prints where it is. Nothing else may be put here: all of it would be importable.
"""
