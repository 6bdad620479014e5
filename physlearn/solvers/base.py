"""What a solver is, and `solve`, which runs one on an instance."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from physlearn.inputs import InputError, member, reject
from physlearn.models import Instance, Model
from physlearn.random import generator
from physlearn.results import Result, Status, Trace


@dataclass
class State:
    """All that the next sweep needs; each solver has its own kind, which adds to this one.

    Attributes
    ----------
    fingerprint : tuple
        That of the instance it belongs to, from which alone the run can go on (see `Instance.fingerprint`).
    """

    fingerprint: tuple


class Solver(ABC):
    """A frozen recipe: schedule, damping, tolerance; no state, no randomness, no files.

    A subclass is a frozen dataclass with the methods below. Its State holds whatever `sweep` needs to go on,
    `state.n_sweeps` included; `sweep` may change the state in place and returns it.

    Attributes
    ----------
    state_type : type
        The kind of State that `init` makes, and the only one from which a run goes on.
    result_type : type
        What `solve` returns: Result, or a subclass that reads more off the final state.
    takes_external : bool
        Whether it treats instances with an external field (see `Tethered`).
    """

    state_type: ClassVar[type[State]]
    result_type: ClassVar[type[Result]] = Result
    takes_external: ClassVar[bool] = False

    @abstractmethod
    def supports(self, model: Model) -> str | None:
        """None, or the sentence why this solver cannot treat the model."""

    @abstractmethod
    def init(self, instance: Instance, rng: np.random.Generator) -> Any:
        """The State before the first sweep."""

    @abstractmethod
    def sweep(self, instance: Instance, state: Any, rng: np.random.Generator) -> Any:
        """Advance by at least one sweep."""

    @abstractmethod
    def status(self, instance: Instance, state: Any) -> Status | None:
        """How the run ended, or None to go on."""

    @abstractmethod
    def record(self, instance: Instance, state: Any) -> dict[str, float]:
        """What the trace keeps after each call of `sweep`."""

    @abstractmethod
    def weights(self, instance: Instance, state: Any) -> np.ndarray | None:
        """The configuration found, with w.w = N; None where none exists."""

    def observables(self, instance: Instance, state: Any) -> dict[str, Any]:
        """What the result tells beyond the observables common to all solvers (see `solve`)."""
        return {}


def solve(instance: Instance, solver: Solver, rng: Any, *, state: Any = None) -> Result:
    """Run `solver` on `instance` until its status is decided.

    Parameters
    ----------
    instance : Instance
    solver : Solver
    rng : numpy.random.Generator or int
        Generator or seed; there is no default.
    state : object, optional
        The `state` of an earlier result of the same kind of solver on the same instance: the run goes on from
        there, to the solver's total, not beyond it.

    Returns
    -------
    Result
        With the observables ``energy`` (violated constraints) and ``solved`` (1 where it is zero), both absent
        where the model has no energy, ``n_sweeps`` and, where there is a teacher, ``teacher_overlap``,
        ``recovered`` (1 where the weights point where the teacher does) and ``generalization_error`` of the
        weights; and the solver's own.

    Raises
    ------
    InputError
        If the solver does not support the instance's model, an argument is of the wrong kind, or the state is
        another solver's or another instance's.
    """
    steps = sweeps(instance, solver, rng, state=state)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def sweeps(
    instance: Instance, solver: Solver, rng: Any, *, state: Any = None
) -> Generator[tuple[Any, np.random.Generator], None, Result]:
    """`solve`, one call of ``solver.sweep`` at a time.

    Yields
    ------
    tuple
        The state and the generator, with which another call goes on from here.

    Returns
    -------
    Result
        As of `solve`; its trace begins with this call.
    """
    member(
        "instance", instance, Instance, "an Instance, from model.sample(N, rng) or Instance(patterns, labels)"
    )
    member("solver", solver, Solver, "a Solver such as AMP() or Metropolis(beta, n_sweeps)")
    rng = generator(rng)
    refusal = solver.supports(instance.model)
    if refusal:
        raise InputError(f"solver: {refusal}")
    if instance.external is not None and not solver.takes_external:
        raise InputError(
            f"solver: {type(solver).__name__} takes no instance that is tethered to a reference."
        )
    state = solver.init(instance, rng) if state is None else _resumed(instance, solver, state)
    done, records = [], []
    while (status := solver.status(instance, state)) is None:
        state = solver.sweep(instance, state, rng)
        done.append(state.n_sweeps)
        records.append(solver.record(instance, state))
        yield state, rng
    names = records[0] if records else {}
    recorded = Trace(
        np.array(done, dtype=np.int64), {name: np.array([r[name] for r in records]) for name in names}
    )
    weights = solver.weights(instance, state)
    observables = {**common_observables(instance, weights), "n_sweeps": state.n_sweeps}
    observables |= solver.observables(instance, state)
    return solver.result_type(status, weights, observables, recorded, solver, _stream(rng), state)


def _resumed(instance: Instance, solver: Solver, state: Any) -> Any:
    """A copy of `state`, if this solver can go on from it on this instance."""
    allowed = f"the state of an earlier result of {type(solver).__name__} on the same instance and model"
    if type(state) is not solver.state_type:
        raise reject("state", f"an object of type {type(state).__name__}", allowed)
    if state.fingerprint != instance.fingerprint:
        raise reject("state", f"a {type(state).__name__} of another instance or model", allowed)
    return copy.deepcopy(state)


def common_observables(instance: Instance, weights: np.ndarray | None) -> dict[str, float]:
    """Energy and, where there is a teacher, the overlap with it and the generalization error of `weights`."""
    if weights is None:
        return {"solved": 0}
    observables: dict[str, float] = {}
    if instance.model.energy_refusal is None:
        energy = instance.model.energy(instance, weights)
        observables |= {"energy": energy, "solved": int(energy == 0)}
    if instance.teacher is not None:
        observables |= instance.model.teacher_observables(instance, weights)
    return observables


def _stream(rng: np.random.Generator) -> str:
    sequence = getattr(rng.bit_generator, "seed_seq", None)
    if sequence is None or not hasattr(sequence, "entropy"):
        return type(rng.bit_generator).__name__
    key = tuple(map(int, sequence.spawn_key))
    return f"{type(rng.bit_generator).__name__}(entropy={sequence.entropy}, spawn_key={key})"
