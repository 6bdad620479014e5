"""Synthetic success rates with a known answer, and bounds on how often errors must cover it."""

import numpy as np
import xarray
from scipy import stats

from physlearn import Status
from physlearn.estimates import finite_size_threshold
from physlearn.scan.refine import refine

SIZES = (501, 1001, 2001)
LIMIT, AMPLITUDE, EXPONENT = 1.5, 4.0, 2 / 3

# From far below a grid's step to far above, each with a seed of its own.
_DIRECTIONS = [{"level": level, "falls": falls} for level in (0.5, 0.3) for falls in (False, True)]
CASES = [{"spread": spread, **direction} for spread in (0.01, 0.1, 1.0, 5.0) for direction in _DIRECTIONS]
CASES += [{"shared": False, **direction} for direction in _DIRECTIONS]
CASES = [{"seed": 100 + k, **case} for k, case in enumerate(CASES)]


class Disorder:
    """Instances that succeed beyond (or, where the rate falls, below) a threshold of their own.

    The rate crosses `level` at LIMIT + AMPLITUDE N^-EXPONENT, and is as wide as spread N^-1/2. Where it is not
    `shared`, every load has disorder of its own.
    """

    def __init__(self, rng, n_instances=30, spread=1.0, level=0.5, falls=False, noise="norm", shared=True):
        self.rng, self.n_instances, self.spread = rng, n_instances, spread
        self.falls, self.shared = falls, shared
        self.law = getattr(stats, noise)
        self.shift = self.law.ppf(1 - level if falls else level)
        self.own = {N: self.draw() for N in SIZES}

    def draw(self):
        return self.law.ppf(self.rng.random(self.n_instances))

    def outcome(self, N, alpha):
        own = self.own[N] if self.shared else self.draw()
        thresholds = LIMIT + AMPLITUDE * N**-EXPONENT + self.spread * N**-0.5 * (own - self.shift)
        return ((round(alpha * N) / N > thresholds) ^ self.falls).astype(float)


def dataset(done, n_instances):
    """A scan's dataset of the outcomes under (N, alpha); all other points of the grid are not planned."""
    loads = sorted({alpha for _, alpha in done})
    values = np.full((len(loads), len(SIZES), n_instances), np.nan)
    status = np.full(values.shape, Status.NOT_PLANNED.code, dtype=np.int8)
    for (N, alpha), outcome in done.items():
        values[loads.index(alpha), SIZES.index(N)] = outcome
        status[loads.index(alpha), SIZES.index(N)] = Status.DONE.code
    dims = ("alpha", "N", "instance")
    coords = {"alpha": loads, "N": list(SIZES), "instance": np.arange(n_instances)}
    return xarray.Dataset({"recovered": (dims, values), "status": (dims, status)}, coords=coords)


def refined(disorder, grid, rounds, level=0.5):
    """The outcomes after rounds of refinement, and whether the last one still added a point."""
    done = {(N, alpha): disorder.outcome(N, alpha) for N in SIZES for alpha in grid}
    new = []
    for _ in range(rounds):
        new = refine(dataset(done, disorder.n_instances), "recovered", level)
        done |= {(p["N"], p["alpha"]): disorder.outcome(p["N"], p["alpha"]) for p in new}
        if not new:
            break
    return done, bool(new)


def extrapolated(done, n_instances, rng, level=0.5):
    """The threshold of outcomes under (N, alpha), at the realised loads."""
    data = dataset(done, n_instances)
    loads = np.array([np.round(data["alpha"].values * N) / N for N in SIZES])
    successes = data["recovered"].transpose("N", "alpha", "instance").values
    return finite_size_threshold(
        loads, SIZES, successes, exponent=EXPONENT, rng=rng, level=level, n_bootstrap=100
    )


def pulls(n_trials, seed, *, rounds=0, n_loads=5, level=0.5, missing=0.0, **kind):
    """(threshold - truth)/error, errors and numbers of points, from grids that begin anywhere within a step."""
    rows = []
    for trial in range(n_trials):
        rng = np.random.default_rng([seed, trial])
        step = 0.8 / (n_loads - 1)
        grid = np.round(np.linspace(1.1, 1.9, n_loads) + rng.uniform(0, step), 3).tolist()
        disorder = Disorder(rng, level=level, **kind)
        done, _ = refined(disorder, grid, rounds, level)
        for outcome in done.values():
            outcome[rng.random(outcome.size) < missing] = np.nan
        fit = extrapolated(done, disorder.n_instances, rng, level)
        rows.append(((fit.threshold.mean - LIMIT) / fit.threshold.error, fit.threshold.error, len(done)))
    return np.array(rows).T


def check_coverage(values, *, resolved=True):
    """Raise where pulls are biased, or fewer lie within 1 and 2 errors than should (false alarm 1e-4 each).

    Where the rise is unresolved, an error is a step's: of a uniform variable 1/sqrt(3) lie within its standard
    deviation, and all within two. Such errors may be too large, never too small.
    """
    n = len(values)
    assert abs(values.mean()) < stats.norm.isf(0.5e-4) * max(1.0, values.std()) / np.sqrt(n)
    for errors in (1, 2):
        inside = int((np.abs(values) < errors).sum())
        rate = float(2 * stats.norm.cdf(errors) - 1)
        least = rate if resolved or errors == 2 else 1 / np.sqrt(3)
        assert inside >= stats.binom.ppf(1e-4, n, least), (errors, inside / n)
        if resolved:
            assert inside <= stats.binom.isf(1e-4, n, rate), (errors, inside / n)
