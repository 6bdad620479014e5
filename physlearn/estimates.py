"""Numbers with their errors."""

import math
from dataclasses import dataclass

import numpy as np

from physlearn.inputs import number, reject
from physlearn.random import generator


@dataclass(frozen=True)
class Estimate:
    """A mean, its standard error, and the effective number of independent samples behind it.

    Attributes
    ----------
    mean, error, n_eff : float
    """

    mean: float
    error: float
    n_eff: float

    def __repr__(self) -> str:
        return f"{self.mean:.6g} +- {self.error:.2g} (n_eff = {self.n_eff:.3g})"

    @classmethod
    def of(cls, samples) -> "Estimate":
        """The estimate from independent samples, shape (n,); the error of a single one is infinite."""
        samples = np.asarray(samples, dtype=float)
        n = samples.size
        error = float(samples.std(ddof=1) / np.sqrt(n)) if n > 1 else float("inf")
        return cls(float(samples.mean()), error, float(n))


@dataclass(frozen=True)
class FiniteSizeThreshold:
    r"""Where a success rate crosses a level, size by size, and in the limit of infinite size.

    The crossings x_N are fitted by x_N = threshold + amplitude N^{-exponent}, weighted by their errors.

    Attributes
    ----------
    threshold : Estimate
        In the limit; its error holds statistics only, not the choice of the exponent.
    amplitude : float
    exponent : float
    sizes, crossings, errors, widths : ndarray, shape (n_sizes,)
        The crossings, their standard errors, and the distance over which the rate goes from 1/4 to 3/4.
    chi2 : float
        Of the fit, with n_sizes - 2 degrees of freedom.
    level : float
    """

    threshold: Estimate
    amplitude: float
    exponent: float
    sizes: np.ndarray
    crossings: np.ndarray
    errors: np.ndarray
    widths: np.ndarray
    chi2: float
    level: float = 0.5

    def __repr__(self) -> str:
        freedom = len(self.sizes) - 2
        quality = f", chi2 = {self.chi2:.2g} for {freedom} degrees of freedom" if freedom else ""
        return (
            f"Threshold {self.threshold} for N to infinity, from N = {', '.join(map(str, self.sizes))} "
            f"by N^-{self.exponent:.3g}{quality}."
        )

    def to_dataset(self):
        """The crossings along ``N``, the threshold and the fit's numbers as scalars."""
        import xarray

        return xarray.Dataset(
            {
                "crossing": ("N", self.crossings),
                "crossing_error": ("N", self.errors),
                "width": ("N", self.widths),
                "threshold": self.threshold.mean,
                "threshold_error": self.threshold.error,
                "amplitude": self.amplitude,
                "exponent": self.exponent,
                "chi2": self.chi2,
                "level": self.level,
            },
            coords={"N": self.sizes},
        )


def finite_size_threshold(
    loads, sizes, successes, *, exponent, rng, n_bootstrap=400, level=0.5
) -> FiniteSizeThreshold:
    """Threshold of a success rate that rises or falls, from its crossings of a level at several sizes.

    At every size a logistic curve is fitted to the rate (`logistic_fit`). Errors come from resampling whole
    instances: neighbouring loads share their disorder. Where a rate changes within one step of the grid, the
    crossing of one half stands for that of any level, and a step's uniform uncertainty, step/sqrt(12), is added.
    Such steps may err alike at all sizes: the error of the limit is the larger one of both cases.

    An instance that misses at some loads is resampled whole too: where it is, it counts, so that the number of
    trials differs from load to load. This asks that what is missing does not depend on what it would have been.

    Parameters
    ----------
    loads : array_like, shape (n_loads,) or (n_sizes, n_loads)
        In any order; the realised ones may differ from size to size, and are NaN where a size has fewer.
    sizes : array_like, shape (n_sizes,)
        At least two.
    successes : array_like of 0 and 1, shape (n_sizes, n_loads, n_instances)
        NaN for loads that a size does not have, and for instances that failed or were not run.
    exponent : float
        Of the fit in N^-exponent; theory or taste, so that there is no default.
    rng : numpy.random.Generator or int
        For the bootstrap.
    n_bootstrap : int
    level : float
        Between 0 and 1.

    Raises
    ------
    InputError
        If an entry is not 0, 1 or NaN, or some size has no success, no failure, or a single load or instance.
    """
    rng = generator(rng)
    exponent = number("exponent", exponent, above=0)
    level = number("level", level, above=0, below=1)
    curves, sizes = _curves(loads, sizes, successes)
    fits = [_crossing(x, y, rng, n_bootstrap, level) for x, y in curves]
    crossings, statistical, steps, widths = (np.array(column) for column in zip(*fits, strict=True))
    errors = np.hypot(statistical, steps)
    if not np.isfinite(crossings + errors).all():
        N = sizes[~np.isfinite(crossings + errors)][0]
        raise reject("successes", f"a rate that hardly changes at N = {N}", "rates that rise or fall")
    design = np.stack([np.ones(len(sizes)), sizes ** -float(exponent)], axis=1) / errors[:, None]
    gain = np.linalg.pinv(design)
    threshold, amplitude = gain @ (crossings / errors)
    chi2 = float(np.sum((crossings / errors - design @ [threshold, amplitude]) ** 2))
    n_eff = float(min(outcome.shape[1] for _, outcome in curves))
    alike = np.hypot(np.linalg.norm(gain[0] * (statistical / errors)), gain[0] @ (steps / errors))
    estimate = Estimate(float(threshold), float(max(np.linalg.norm(gain[0]), alike)), n_eff)
    return FiniteSizeThreshold(
        estimate, float(amplitude), exponent, sizes, crossings, errors, widths, chi2, level
    )


def _curves(loads, sizes, successes) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """For every size its loads, in order, and outcomes (n_loads, n_instances), without what is missing throughout."""
    successes, sizes, loads = np.asarray(successes, float), np.asarray(sizes), np.asarray(loads, float)
    if successes.ndim != 3 or len(successes) != len(sizes) or len(sizes) < 2 or successes.shape[2] < 2:
        raise reject(
            "successes", f"shape {successes.shape}", "(n_sizes, n_loads, n_instances), two sizes or more"
        )
    known = np.isfinite(successes)
    if not np.isin(successes, (0, 1))[~np.isnan(successes)].all():
        raise reject("successes", "entries other than 0 and 1", "0, 1, and NaN for what is missing")
    try:
        loads = np.broadcast_to(loads, successes.shape[:2])
    except ValueError:
        raise reject("loads", f"shape {loads.shape}", "(n_loads,) or (n_sizes, n_loads)") from None
    if not np.isfinite(loads[known.any(axis=2)]).all():
        raise reject("loads", "loads without a value that have outcomes", "finite numbers")
    curves = []
    for N, x, outcome, there in zip(sizes, loads, successes, known, strict=True):
        rows, columns = there.any(axis=1), there.any(axis=0)
        x, outcome = x[rows], outcome[np.ix_(rows, columns)]
        if min(outcome.shape) < 2:
            raise reject(
                "successes",
                f"{len(x)} loads and {columns.sum()} instances at N = {N}",
                "two or more of both at every size",
            )
        if np.nanmin(outcome) == np.nanmax(outcome):
            given = f"{np.nanmin(outcome):.0f} throughout at N = {N}"
            raise reject("successes", given, "successes and failures")
        order = np.argsort(x, kind="stable")
        curves.append((x[order], outcome[order]))
    return curves, sizes


def _crossing(loads, outcome, rng, n_bootstrap, level) -> tuple[float, float, float, float]:
    """Crossing of the level, its error from the bootstrap and from the step, the width of the rise.

    The loads are in order; outcome has shape (n_loads, n_instances).
    """
    n = outcome.shape[1]
    resampled = rng.multinomial(n, np.full(n, 1 / n), size=n_bootstrap)
    weights = np.vstack([np.ones(n), resampled])
    trials, counts = weights @ np.isfinite(outcome).T, weights @ np.nan_to_num(outcome).T
    crossings, widths = logistic_fit(loads, counts, trials, level)
    crossing, width, others = float(crossings[0]), abs(float(widths[0])), crossings[1:]
    if np.isfinite(others).all():
        spread = others.std()
    else:  # A resample without a slope has its crossing anywhere.
        ends = np.quantile(np.where(np.isnan(others), np.inf, others), [0.16, 0.84], method="nearest")
        spread = np.ptp(ends) / 2 if np.isfinite(ends).all() else np.inf
    error = float(spread * np.sqrt(n / (n - 1)))
    if not width < 1e6 * np.ptp(loads):
        return np.inf, error, 0.0, width
    half = crossing - float(widths[0]) * np.log(level / (1 - level)) / (2 * np.log(3))
    cell = np.clip(np.searchsorted(loads, half), 1, len(loads) - 1)
    step = loads[cell] - loads[cell - 1]
    if 2 * width >= step and error > 1e-9 * step:
        return crossing, error, 0.0, width
    # The fitted width is the penalty's here: how far the level lies from one half is not known.
    return half, error, float(np.hypot(step / np.sqrt(12), crossing - half)), width


def extrapolated(sizes, values, errors, exponent: float = 1.0) -> Estimate:
    r"""The limit of infinite size of values x_N = x + a N^{-exponent}, weighted by their errors.

    Parameters
    ----------
    sizes, values, errors : array_like, shape (n_sizes,)
        Two sizes at least, and errors above zero.
    exponent : float

    Returns
    -------
    Estimate
        Its error is enlarged by the root of chi2 per degree of freedom where that exceeds one.
    """
    sizes, values, errors = (np.asarray(item, dtype=float) for item in (sizes, values, errors))
    if sizes.ndim != 1 or len(sizes) < 2 or not (errors > 0).all():
        raise reject("sizes", f"{sizes.size} of them", "two at least, with errors above zero")
    design = np.stack([np.ones(len(sizes)), sizes ** -float(exponent)], axis=1) / errors[:, None]
    gain = np.linalg.pinv(design)
    fit = gain @ (values / errors)
    chi2 = float(np.sum((values / errors - design @ fit) ** 2)) / max(len(sizes) - 2, 1)
    return Estimate(float(fit[0]), float(np.linalg.norm(gain[0]) * max(1.0, chi2) ** 0.5), float(len(sizes)))


def logistic_fit(x, successes, trials, level=0.5) -> tuple[np.ndarray, np.ndarray]:
    r"""Where logistic curves through success rates cross a level, and how wide they are.

    The rate is p(x) = 1/(1 + e^{-a - b x}). Newton steps on the likelihood with Firth's penalty (Jeffreys'
    prior), which keeps the curve finite where no rate is mixed: the score of a point is k - n p + h (1/2 - p),
    with k successes in n trials, and h the point's leverage.

    Parameters
    ----------
    x : array_like, shape (n_points,)
    successes, trials : array_like, shape (n_curves, n_points)
    level : float

    Returns
    -------
    crossings, widths : ndarray, shape (n_curves,)
        The widths 2 ln 3/b, the distance from the rate 1/4 to 3/4, are negative where the rate falls.
    """
    order = np.argsort(x, kind="stable")
    x, successes, trials = (np.asarray(values, float)[..., order] for values in (x, successes, trials))
    centre, scale = x.mean(), max(np.ptp(x), 1e-300) / 2
    z = (x - centre) / scale
    theta, value = _penalised_maximum(z, successes, trials, np.zeros((len(successes), 2)))
    # Where loads lie at several scales there may be two maxima: a wide curve, and one within a step.
    other, other_value = _penalised_maximum(z, successes, trials, _steepest(z, successes, trials))
    theta = np.where((other_value > value + 1e-6)[:, None], other, theta)
    logit = np.log(level / (1 - level))
    with np.errstate(divide="ignore", invalid="ignore"):  # A curve without a slope crosses nowhere.
        return centre - scale * (theta[:, 0] - logit) / theta[:, 1], 2 * np.log(3) * scale / theta[:, 1]


def _penalised_maximum(x, successes, trials, start) -> tuple[np.ndarray, np.ndarray]:
    """Parameters (a, b) of each curve where the penalised log-likelihood is largest, from `start`, and its value."""
    basis, theta = np.stack([np.ones_like(x), x]), start.copy()
    for iteration in range(300):
        p = 1 / (1 + np.exp(-np.clip(theta @ basis, -700, 700)))
        weight = trials * p * (1 - p)
        information = np.einsum("bl,il,jl->bij", weight, basis, basis) + 1e-12 * np.eye(2)
        leverage = weight * np.einsum("il,bij,jl->bl", basis, np.linalg.inv(information), basis)
        score = (successes - trials * p + leverage * (0.5 - p)) @ basis.T
        step = np.linalg.solve(information, score[..., None])[..., 0]
        # A rise far narrower than the range of x needs large parameters, which long steps reach.
        longest = np.maximum(4, np.abs(theta).max(axis=1, keepdims=True) / 2) if iteration >= 100 else 4
        step /= np.maximum(1, np.abs(step).max(axis=1, keepdims=True) / longest)
        theta += step
        if (np.abs(step) < 1e-10 * np.maximum(1, np.abs(theta) / 100)).all():
            break
    field = theta @ basis
    likelihood = -(successes * np.logaddexp(0, -field) + (trials - successes) * np.logaddexp(0, field)).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = likelihood + np.log(np.linalg.det(information)) / 2
    return theta, np.nan_to_num(value, nan=-np.inf)


def _steepest(x, successes, trials) -> np.ndarray:
    """Parameters of the curves that rise or fall within the step where the fewest trials are on the wrong side."""
    failures_less_successes = np.cumsum(trials - 2 * successes, axis=1)
    # Of the trials that a rise behind x_i gets right, the excess over what a fall there gets right, halved.
    excess = failures_less_successes[:, :-1] - failures_less_successes[:, -1:] / 2
    excess = np.where(np.diff(x) > 0, excess, 0)
    split = np.abs(excess).argmax(axis=1)
    b = 4 * np.sign(excess[np.arange(len(split)), split]) / np.maximum(np.diff(x)[split], 1e-12)
    return np.stack([-b * (x[split] + x[split + 1]) / 2, b], axis=1)


def blocking(series) -> Estimate:
    """The mean of a correlated series, its error from blocks that are longer than the correlations.

    Parameters
    ----------
    series : array_like, shape (n,)
        A stationary series, in order; its values are finite.

    Returns
    -------
    Estimate
        Blocks of length B = 2^k, with the smallest k for which B^3 > 2 n (error_k/error_0)^4; where no k has
        so many blocks, the largest error found. ``n_eff = n (error_0/error_k)^2``. For a series that never changes,
        or of a single entry, one effective sample with an infinite error: it tells nothing of what it did not visit.

    References
    ----------
    Flyvbjerg & Petersen 1989; the choice of k: Lee, Needs & Towler, Phys. Rev. E 83, 066706 (2011).
    """
    blocks, scale = _scaled(series)
    n, mean = blocks.size, float(np.mean(blocks)) * scale
    if np.ptp(blocks) == 0:
        return Estimate(mean, float("inf"), 1.0)
    naive = largest = error = float(blocks.std(ddof=1) / np.sqrt(n))
    length = 1
    while length**3 <= 2 * n * (error / naive) ** 4:
        blocks = (blocks[0 : 2 * (blocks.size // 2) : 2] + blocks[1::2]) / 2
        length *= 2
        if blocks.size < 4 or np.ptp(blocks) == 0:
            error = largest
            break
        error = float(blocks.std(ddof=1) / np.sqrt(blocks.size))
        largest = max(largest, error)
    return Estimate(mean, error * scale, n * (naive / error) ** 2)


def _scaled(series) -> tuple[np.ndarray, float]:
    """A series in units of a power of two near its largest entry, so that no square leaves the range of doubles."""
    values = np.asarray(series, dtype=float)
    if values.ndim != 1 or values.size == 0:
        raise reject("series", f"shape {values.shape}", "at least one number, shape (n,)")
    if not np.isfinite(values).all():
        raise reject("series", "entries that are infinite or not a number", "finite numbers")
    largest = float(np.abs(values).max())
    scale = math.ldexp(1.0, math.frexp(largest)[1] - 1) if largest > 0 else 1.0
    return values / scale, scale


def autocorrelation_time(series, window=5.0) -> Estimate:
    r"""Integrated autocorrelation time of a stationary series, in steps.

    .. math:: \tau = \frac12 + \sum_{t=1}^{W} \rho(t)

    with rho the autocorrelation, up to the smallest W >= window tau(W): long enough for an exponential decay to leave
    out e^{-window} of it, no longer than that for noise not to pile up. The error of the mean is that of n/(2 tau)
    independent samples; tau is 1/2 without correlations, and (1 + a)/(2 - 2a) where rho = a^t.

    Parameters
    ----------
    series : array_like, shape (n,)
        In order; its values are finite.
    window : float

    Returns
    -------
    Estimate
        tau, its error sqrt((4 W + 2)/n) tau, and ``n_eff = n/(2 tau)``. For a series that never changes, or of a single
        entry, n/2 with an infinite error: one effective sample.

    References
    ----------
    Sokal 1989; Madras & Sokal 1988, appendix C.
    """
    window = number("window", window, above=0)
    values, _ = _scaled(series)
    n = values.size
    if np.ptp(values) == 0:
        return Estimate(n / 2, float("inf"), 1.0)
    values = values - values.mean()
    size = 1 << (2 * n - 1).bit_length()
    power = np.abs(np.fft.rfft(values, size)) ** 2
    covariance = np.fft.irfft(power, size)[:n]
    tau = np.cumsum(covariance / covariance[0]) - 0.5
    enough = np.arange(n) >= window * tau
    # A series that goes to and fro has tau < 1/2, and one of two values could have none at all.
    W = int(np.argmax(enough)) if enough.any() else n - 1
    W = max(W, 1) if n > 1 else W
    time = float(min(max(tau[W], 0.5 / n), n / 2))
    return Estimate(time, time * float(np.sqrt((4 * W + 2) / n)), n / (2 * time))
