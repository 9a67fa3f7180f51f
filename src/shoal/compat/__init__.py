"""How shoal answers to the name `distributed`, in a process or in a whole tree of processes.

`switch` turns it on and off, `table` says which name stands for what, `facade` makes the modules
of it, and `shim` is the folder that other processes find on their path. The other modules hold
small things that libraries import from `distributed` and that shoal itself has no use for. Nothing
of shoal outside of the command line imports any of them.
"""
