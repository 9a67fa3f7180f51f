"""The workloads, one program each: `python -m workloads.NAME SYSTEM [CASE]` prints figures as JSON.

Every program has a `TITLE`, `SYSTEMS` (all that can run it, in the order of the table) and
`FIGURES` (name -> unit and whether "higher" or "lower" is better), and checks the results it gets.
Where there is more than one size or kind there are `CASES` (name -> words for the table), each
measured in processes of its own; those named in `LONG` are left out of quick runs. `ENVIRONMENT =
"data"` asks for the environments with numpy and its friends. Sizes are frozen here, in the code.

Beside its own figures a program returns those of `accounting.Meter`: CPU time and peak memory.
"""
