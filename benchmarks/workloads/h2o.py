"""The groupby questions q1 to q5 of the h2o.ai database benchmark, on 1e6 generated rows."""

from __future__ import annotations

import systems
from accounting import Meter

from workloads import graphs
from workloads.program import expect, run

TITLE = "h2o groupby questions, 1e6 rows in 16 partitions, persisted"
SYSTEMS = ["shoal", "dask", "dask-best"]
ENVIRONMENT = "data"
FIGURES = {
    "q1": ("s, q1: sum by id1", "lower"),
    "q2": ("s, q2: sum by id1, id2", "lower"),
    "q3": ("s, q3: sum, mean by id3", "lower"),
    "q4": ("s, q4: means by id4", "lower"),
    "q5": ("s, q5: sums by id6", "lower"),
    "seconds": ("s, all five", "lower"),
}
ROWS, GROUPS, PARTITIONS = 1_000_000, 100, 16


def table():
    """Return the table as the benchmark's generator describes it: N = 1e6, K = 100."""
    import numpy
    import pandas

    draw = numpy.random.default_rng(0).integers
    few, many = GROUPS, ROWS // GROUPS
    names = {"id1": ("id{:03d}", few), "id2": ("id{:03d}", few), "id3": ("id{:010d}", many)}
    columns = {}
    for name, (form, count) in names.items():
        known = [form.format(i) for i in range(1, count + 1)]
        columns[name] = pandas.Categorical.from_codes(draw(0, count, ROWS), known).astype(str)
    for name, count in (("id4", few), ("id5", few), ("id6", many), ("v1", 5), ("v2", 15)):
        columns[name] = draw(1, count + 1, ROWS)
    columns["v3"] = numpy.random.default_rng(1).uniform(0, 100, ROWS).round(6)
    return pandas.DataFrame(columns)


QUESTIONS = {
    "q1": (["id1"], {"v1": "sum"}),
    "q2": (["id1", "id2"], {"v1": "sum"}),
    "q3": (["id3"], {"v1": "sum", "v3": "mean"}),
    "q4": (["id4"], {"v1": "mean", "v2": "mean", "v3": "mean"}),
    "q5": (["id6"], {"v1": "sum", "v2": "sum", "v3": "sum"}),
}


def answer(frame, question):
    """Put a question to a table of pandas or of dask."""
    by, what = QUESTIONS[question]
    return frame.groupby(by).agg(what)


def main(name):
    """Ask all questions once on the system called `name`."""
    import dask.dataframe

    whole = table()
    figures = {}
    with systems.start(name) as system:
        system.client.run(graphs.load, ("pandas", "dask.dataframe"))
        frame = dask.dataframe.from_pandas(whole, npartitions=PARTITIONS).persist()
        expect("len", len(frame), ROWS)
        total = Meter(system)
        with total:
            found = {}
            for question in QUESTIONS:
                with Meter(system) as meter:
                    found[question] = answer(frame, question).compute()
                figures[question] = meter.seconds
    for question, result in found.items():
        if not graphs.close_to(result, answer(whole, question)):
            expect(question, result, answer(whole, question))
    return figures | {"seconds": sum(figures.values())} | total.figures()


if __name__ == "__main__":
    run(main)
