"""What makes itself parallel by ``n_jobs`` runs on the pool's workers; BLAS has equal limits in both arms."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Suite

BACKENDS = ("joblib-loky", "joblib-threading", "joblib-multiprocessing")

FOREST = """
    import os
    import threading
    from functools import partial
    from pathlib import Path

    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import cross_val_score
    from threadpoolctl import threadpool_info

    NOTES = Path(__file__).parent / "notes"
    NOTES.mkdir(exist_ok=True)


    def scored(notes, strategy, estimator, data, target):
        most = max(library["num_threads"] for library in threadpool_info())
        here = threading.current_thread() is threading.main_thread()
        (notes / f"{strategy} {os.getpid()} {here} {most}").touch()
        return estimator.score(data, target)


    def validated(pool):
        forest = RandomForestClassifier(n_estimators=3, random_state=1)
        scoring = partial(scored, NOTES, pool.strategy)
        data, target = load_iris(return_X_y=True)
        return cross_val_score(forest, data, target, cv=6, n_jobs=pool.workers, scoring=scoring)


    @pytest.mark.parallel_strategies(*BACKENDS, workers=[1, 2])
    def test_forest(parallel):
        assert parallel.measure(validated).mean() > 0.8
"""


def notes_of(suite: Suite) -> dict[str, set[tuple[int, bool, int]]]:
    """By strategy: process, whether it was its main thread, and most threads of a native library."""
    found: dict[str, set[tuple[int, bool, int]]] = {}
    for path in (Path(suite.pytester.path) / "notes").iterdir():
        name, pid, main, most = path.name.split()
        found.setdefault(name, set()).add((int(pid), main == "True", int(most)))
    return found


def test_a_scikit_learn_estimator_runs_on_the_pools_workers(suite: Suite) -> None:
    pytest.importorskip("sklearn")
    suite.write(FOREST.replace("*BACKENDS", ", ".join(map(repr, BACKENDS))))
    suite.run("--parallel-check").assert_outcomes(passed=2 * len(BACKENDS))
    notes = notes_of(suite)
    assert set(notes) == {"sequential", *BACKENDS}
    ((home, main, _),) = notes["sequential"]
    assert main
    for name in ("joblib-loky", "joblib-multiprocessing"):
        assert home not in {pid for pid, *_ in notes[name]}
    assert {(pid, main) for pid, main, _ in notes["joblib-threading"]} == {(home, False)}
    assert {most for seen in notes.values() for *_, most in seen} == {1}
