"""The workloads, one program each: `python -m workloads.NAME SYSTEM` prints its figures as JSON.

Every program has a `TITLE`, `SYSTEMS` (all that can run it, in the order of the table) and
`FIGURES` (name -> unit and whether "higher" or "lower" is better), and checks the results it gets.
"""
