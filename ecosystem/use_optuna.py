"""optuna: a study in the memory of the scheduler, its trials run by the workers."""

from __future__ import annotations

import optuna
from harness import Report, quick, two_workers
from optuna_integration.dask import DaskStorage

TRIALS = 20 if quick() else 200


def objective(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", -10, 10)
    return (x - 2) ** 2


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    report = Report("optuna", f"DaskStorage: {TRIALS} trials, 10 at a time")

    def work(client) -> optuna.Study:
        sampler = optuna.samplers.RandomSampler(seed=0)
        study = optuna.create_study(storage=DaskStorage(client=client), sampler=sampler)
        calls = [
            client.submit(study.optimize, objective, n_trials=10, pure=False)
            for _ in range(TRIALS // 10)
        ]
        client.gather(calls)
        return study

    with two_workers() as client:
        study = report.timed(lambda: work(client))
        trials = study.trials
        best = study.best_value
    assert len(trials) == TRIALS
    assert all(trial.state == optuna.trial.TrialState.COMPLETE for trial in trials)
    assert sorted(trial.number for trial in trials) == list(range(TRIALS))
    assert best == min((trial.params["x"] - 2) ** 2 for trial in trials)
    report.done()


if __name__ == "__main__":
    main()
