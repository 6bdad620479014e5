"""Tasks for the tests of scans: functions of a module, as workers need them."""

import os
import time
from pathlib import Path

import numpy as np

from physlearn import Status
from physlearn.estimates import Estimate
from physlearn.inputs import InputError


def draw(point, streams):
    """A task whose values show which streams it was given."""
    patterns = streams.disorder.standard_normal((point["N"], point["N"]))
    w = streams.dynamics.standard_normal(point["N"])
    return {"product": (patterns @ w).sum(), "first": streams.disorder.random(), "pair": w[:2]}


def large(point, streams):
    """An array that gets a file of its own."""
    return {"profile": streams.dynamics.random((2, 50)), "value": 1.0}


def ragged(point, streams):
    return {"profile": np.arange(point["N"], dtype=float)}


def estimated(point, streams):
    return {"height": Estimate(point["alpha"], 0.25, 10.0), "other": 2}


def statuses(point, streams):
    return {"value": point["alpha"], "status": Status.CONVERGED if point["alpha"] < 1 else Status.DIVERGED}


def fails(point, streams):
    if point["alpha"] == 1.0 and point["N"] == 9:
        raise ZeroDivisionError("no luck")
    return {"value": 1.0}


def always_fails(point, streams):
    raise ZeroDivisionError("no luck")


def refuses(point, streams):
    raise InputError("N: got 5; allowed: 7.")


def says(point, streams):
    """Whatever the point's `answer` is."""
    return point["answer"]


def threads(point, streams):
    import numba
    import scipy.linalg  # noqa: F401 - a BLAS of its own, that joins within the task
    from threadpoolctl import threadpool_info

    time.sleep(point.get("pause", 0))
    return {"blas": max(pool["num_threads"] for pool in threadpool_info()), "numba": numba.get_num_threads()}


def slow(point, streams):
    """A task that takes `pause` seconds, and notes in the file `log` that it was done."""
    time.sleep(point["pause"])
    with Path(point["log"]).open("a") as file:
        file.write(f"{point['alpha']} {point['N']}\n")
    return {"value": streams.dynamics.random(point["N"])}


def deadly(point, streams):
    """Kills its worker at one point, `deaths` times."""
    if point["alpha"] == 1.0 and point["N"] == 9:
        path = Path(point["log"])
        deaths = len(path.read_text()) if path.exists() else 0
        if deaths < point["deaths"]:
            path.write_text("x" * (deaths + 1))
            os.kill(os.getpid(), 9)
    return {"value": streams.dynamics.random()}


def steps(point, streams, checkpoint=None):
    """A random walk of `n_steps` steps that can go on from any of them."""
    k, total, rng = (0, 0.0, streams.dynamics) if checkpoint is None else checkpoint
    while k < point["n_steps"]:
        if k == point.get("stop_at") and Path(point["log"] + ".stop").exists():
            raise KeyboardInterrupt
        total += rng.standard_normal()
        k += 1
        with Path(point["log"]).open("a") as file:
            file.write(f"{k}\n")
        yield k, total, rng
    return {"total": total}
