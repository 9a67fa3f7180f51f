"""Questions of one viewer and their answers: by subject, each bounded in what it looks at.

A question is a function of the scheduler and keyword arguments that come from a browser, so each
checks what it is given. `table` has them all by name.
"""
