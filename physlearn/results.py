"""What a calculation answers: frozen values that carry their status and print themselves in a sentence."""

import enum
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray


class Status(enum.Enum):
    """How a calculation ended; `advice` says what happened and what to change.

    In datasets a status is stored as its `code`, with the names in the variable's attributes (CF flag values).
    """

    CONVERGED = (0, "The iteration reached its tolerance.")
    SOLVED = (1, "A configuration that violates no constraint was found.")
    COMPLETED = (2, "The whole schedule was run; the configuration returned still violates a constraint.")
    NOT_CONVERGED = (
        3,
        "The iteration limit came before the tolerance: raise the limit, increase the damping, or start nearer.",
    )
    UNPHYSICAL = (
        4,
        "The saddle point has negative entropy: replica symmetry does not count solutions here; lower the load.",
    )
    NO_SOLUTION = (
        5,
        "No saddle point exists: the overlap runs to one, the load is beyond the capacity of this ansatz; lower it.",
    )
    UNSATISFIABLE = (
        6,
        "No configuration satisfies all constraints: lower the load or the margin, or look for contradictory patterns.",
    )
    DIVERGED = (7, "A quantity ran out of range: increase the damping or check the input's scale.")
    NOT_RUN = (8, "This point was not reached before the run ended: run the same scan again to go on.")
    DONE = (9, "The task was done; it reports no status of its own.")
    FAILED = (
        10,
        "The task raised an error, which `physlearn scan status DIR` tells: the same command tries it again.",
    )
    NOT_PLANNED = (11, "The scan has no such point: the grid holds it because other points share its values.")
    NOT_EQUILIBRATED = (
        12,
        "The walks did not forget where they began: raise the number of sweeps, or lower the largest beta.",
    )
    OUT_OF_RANGE = (
        13,
        "The value lies outside of what was sampled: widen the range of fields.",
    )

    def __init__(self, code: int, advice: str) -> None:
        self.code = code
        self.advice = advice

    @classmethod
    def from_code(cls, code: int) -> "Status":
        """The status stored under `code` in a dataset."""
        return next(status for status in cls if status.code == int(code))

    @classmethod
    def attributes(cls) -> dict[str, Any]:
        """Attributes of a dataset's ``status`` variable: codes and names."""
        return {
            "long_name": "status",
            "flag_values": np.array([status.code for status in cls], dtype=np.int8),
            "flag_meanings": " ".join(status.name for status in cls),
        }


class _Named:
    """Dictionary entries named in `_spread` are attributes too: ``point.overlap``."""

    _spread: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            for store in self._spread:
                entries = self.__dict__.get(store, {})
                if name in entries:
                    return entries[name]
        raise AttributeError(f"{type(self).__name__} has no {name!r}; it has {', '.join(self._names())}")

    def _names(self) -> list[str]:
        return [name for store in self._spread for name in self.__dict__.get(store, {})]

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._names()})


def value_and_error(value: Any) -> tuple[Any, float | None]:
    """An estimate as (mean, error); anything else as (value, None)."""
    if hasattr(value, "mean") and hasattr(value, "n_eff"):
        return value.mean, value.error
    return value, None


def as_variables(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Scalars and estimates as dataset variables; an estimate's error is stored under ``<name>_error``."""
    variables: dict[str, Any] = {}
    for name, entry in entries.items():
        value, error = value_and_error(entry)
        variables[name] = value
        if error is not None:
            variables[f"{name}_error"] = error
    return variables


def _shown(value: Any) -> str:
    value, error = value_and_error(value)
    if isinstance(value, numbers.Integral):
        return str(int(value))
    return f"{value:.6g}" + (f" +- {error:.2g}" if error is not None else "")


@dataclass(frozen=True)
class Trace:
    """What was recorded sweep by sweep; nothing of it is needed to go on.

    Attributes
    ----------
    sweep : ndarray, shape (n_records,)
        Number of sweeps done at each record.
    records : dict of str to ndarray, shape (n_records,)
        The recorded quantities, also as attributes: ``trace.energy``.
    """

    sweep: np.ndarray
    records: dict[str, np.ndarray]

    def __getattr__(self, name: str) -> np.ndarray:
        records = self.__dict__.get("records", {})
        if name in records:
            return records[name]
        raise AttributeError(f"Trace has no {name!r}; it has {', '.join(records)}")

    def __len__(self) -> int:
        return len(self.sweep)

    def __repr__(self) -> str:
        return f"Trace of {len(self)} records: {', '.join(self.records)}"

    def to_dataset(self) -> "xarray.Dataset":
        """The records along the dimension ``sweep``."""
        import xarray

        return xarray.Dataset(
            {name: ("sweep", values) for name, values in self.records.items()}, coords={"sweep": self.sweep}
        )


@dataclass(frozen=True)
class Result(_Named):
    """What a solver found on one instance.

    Attributes
    ----------
    status : Status
    weights : ndarray of shape (N,), or None
        The configuration found, with w.w = N; None where none exists.
    observables : dict of str to float or Estimate
        ``energy`` (violated constraints), ``teacher_overlap``, ...; also as attributes.
    trace : Trace
    solver : Solver
        The recipe that ran.
    stream : str
        Where the randomness came from: the generator's seed sequence.
    state : object
        Passed to ``solve(..., state=result.state)``, the run goes on from it.
    """

    status: Status
    weights: np.ndarray | None
    observables: dict[str, Any]
    trace: Trace
    solver: Any
    stream: str
    state: Any = field(default=None, repr=False)

    _spread = ("observables",)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} = {_shown(value)}" for name, value in self.observables.items())
        return f"{type(self.solver).__name__}: {self.status.name} ({shown}). {self.status.advice}"

    def to_dataset(self) -> "xarray.Dataset":
        """Observables and status as scalar variables, the weights along ``weight``."""
        import xarray

        data = xarray.Dataset(as_variables(self.observables))
        if self.weights is not None:
            data["weights"] = ("weight", np.asarray(self.weights))
        data["status"] = ((), np.int8(self.status.code), Status.attributes())
        return data


@dataclass(frozen=True)
class SaddlePoint(_Named):
    """A saddle point of a free entropy.

    Attributes
    ----------
    model : Model
    order_parameters, conjugates, observables : dict of str to float
        ``overlap`` (q), ``teacher_overlap`` (m), ...; ``overlap_conjugate`` (q_hat), ...; generalization errors.
        Their entries are attributes too.
    free_entropy : float
        phi = (1/N) E ln Z at the saddle point, in nats.
    entropy : float
        s = (1/N) ln of the number (or volume) of solutions, in nats.
    stability : float
        Replicon eigenvalue; replica symmetry is stable where it is positive.
    residual : float
        Largest distance between the order parameters and their image under the saddle-point equations.
    status : Status
    branch : str
        ``"uninformed"``, ``"informed"``, ...: from which side the point was reached.
    potential : callable, optional
        The free entropy as a function of order parameters and conjugates; `check_stationary` differentiates it.
    """

    model: Any
    order_parameters: dict[str, float]
    conjugates: dict[str, float]
    free_entropy: float
    entropy: float
    stability: float
    observables: dict[str, float]
    residual: float
    status: Status
    branch: str
    potential: Any = field(default=None, repr=False, compare=False)

    _spread = ("order_parameters", "conjugates", "observables")

    @property
    def is_stable(self) -> bool:
        """Whether replica symmetry is stable here (positive replicon eigenvalue)."""
        return self.stability > 0

    @property
    def is_physical(self) -> bool:
        """Whether the point exists, is stable, and does not count fewer than one solution."""
        return self.status is Status.CONVERGED and self.is_stable

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} = {value:.6g}" for name, value in self.order_parameters.items())
        return (
            f"Saddle point of {self.model} ({self.branch}): {self.status.name}, {shown}, "
            f"entropy = {self.entropy:.6g}, replicon = {self.stability:.3g}, residual = {self.residual:.1g}. "
            f"{self.status.advice}"
        )

    def to_dataset(self) -> "xarray.Dataset":
        """All numbers as scalar variables, under the same names as a simulation's."""
        import xarray

        data = xarray.Dataset(
            {
                **self.order_parameters,
                **self.conjugates,
                **self.observables,
                "free_entropy": self.free_entropy,
                "entropy": self.entropy,
                "stability": self.stability,
                "residual": self.residual,
            },
            attrs={"model": repr(self.model), "branch": self.branch},
        )
        data["status"] = ((), np.int8(self.status.code), Status.attributes())
        return data


@dataclass(frozen=True)
class Trajectory(_Named):
    """Order parameters as functions of time.

    Attributes
    ----------
    model : Model
    times : ndarray, shape (n_times,)
    observables : dict of str to ndarray, shape (n_times, ...)
        Their entries are attributes too.
    status : Status
    """

    model: Any
    times: np.ndarray
    observables: dict[str, np.ndarray]
    status: Status

    _spread = ("observables",)

    def __len__(self) -> int:
        return len(self.times)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} = {values[-1]:.6g}" for name, values in self.observables.items())
        return (
            f"Trajectory of {self.model} to time {self.times[-1]:g}: {self.status.name}, at the end {shown}."
        )

    def to_dataset(self) -> "xarray.Dataset":
        """The observables along the dimension ``time``."""
        import xarray

        data = xarray.Dataset(
            {name: ("time", values) for name, values in self.observables.items()}, coords={"time": self.times}
        )
        data["status"] = ((), np.int8(self.status.code), Status.attributes())
        return data
