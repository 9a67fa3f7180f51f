"""The live dashboard: what a page in the browser is told of a scheduler, and how often.

`collector` reads counters that the scheduler keeps anyway and tells what changed; `task_sample`
chooses runs of tasks within a budget; `feed` sends one frame to all
viewers; `questions` answers what one viewer asks; `routes` serves it. The page itself is drawn in
the browser: its sources are under `dashboard/` at the root of the repository, and `static/` has
what is built from them. Nothing here draws, and nothing here is at work while nobody looks.
"""
