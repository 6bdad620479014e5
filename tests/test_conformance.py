"""What every solver promises on every model it supports: bookkeeping, resumption, small sizes, bad input."""

import copy
import dataclasses

import numpy as np
import pytest
from catalogue import ALL_MODELS, ALL_SOLVERS, REFUSED, SUPPORTED, TETHERED, model_of, sized, tethered

from physlearn.inputs import InputError
from physlearn.models import Instance
from physlearn.models.protocols import Scoping
from physlearn.random import generator
from physlearn.results import Result, Status
from physlearn.solvers import FocusingBP, solve

N = 11
pairs = pytest.mark.parametrize(("model", "solver"), SUPPORTED, ids=[" | ".join(pair) for pair in SUPPORTED])


def case(model, solver, N=N):
    return drawn(model, N, 3), ALL_SOLVERS[solver]


def drawn(name, N, seed):
    model = model_of(name)
    return tethered(name, model.sample(sized(model, N), seed))


def assert_consistent(instance, result):
    """The weights have the norm and the values of the prior; the observables are theirs; the repr is a sentence."""
    model, weights = instance.model, result.weights
    assert isinstance(result, Result)
    assert isinstance(result.status, Status)
    if weights is None:
        assert result.status is Status.UNSATISFIABLE
        assert result.solved == 0
    else:
        assert weights.shape == (instance.N,)
        if instance.model.prior.norm != "free":
            assert weights.astype(float) @ weights == pytest.approx(instance.N, rel=1e-12)
        assert model.prior.norm != "fixed" or set(np.unique(weights)) <= {-1, 1}
        if model.energy_refusal is None:
            assert result.energy == model.energy(instance, weights)
            assert result.solved == (result.energy == 0)
        else:
            assert not {"energy", "solved"} & set(result.observables)
    if result.status is Status.SOLVED:
        assert result.solved == 1
    sentence = repr(result)
    assert sentence.startswith(f"{type(result.solver).__name__}: {result.status.name} (")
    assert sentence.endswith(".")
    assert "nan" not in sentence.lower() or result.status is not Status.SOLVED


def assert_same(first, second):
    """Two results agree bit for bit."""
    assert first.status is second.status
    np.testing.assert_equal(first.weights, second.weights)
    np.testing.assert_equal(first.observables, second.observables)


@pairs
def test_result_is_consistent(model, solver):
    instance, solver = case(model, solver)
    result = solve(instance, solver, 5)
    assert_consistent(instance, result)
    assert result.solver is solver
    assert result.stream == "PCG64(entropy=5, spawn_key=())"
    assert result.n_sweeps == (result.trace.sweep[-1] if len(result.trace) else 0)  # it may start solved
    assert all(len(values) == len(result.trace) for values in result.trace.records.values())
    data = result.to_dataset()
    assert Status.from_code(data["status"]) is result.status
    assert set(data) - {"weights", "status"} >= set(result.observables)


@pairs
def test_energy_is_the_recomputed_one_at_every_record(model, solver):
    """Running energies equal those of the state's weights; so do those of solvers that recompute."""
    instance, solver = case(model, solver, N=45 if "Enumeration" not in solver else 9)
    rng, energies = generator(2), []
    state = solver.init(instance, rng)
    while solver.status(instance, state) is None:
        state = solver.sweep(instance, state, rng)
        record = solver.record(instance, state)
        energies.append(record.get("energy"))
        if energies[-1] is not None:
            replicas = np.atleast_2d(state.weights)
            assert energies[-1] == sum(instance.model.energy(instance, w) for w in replicas)
            if "cost" in record:
                assert record["cost"] == pytest.approx(solver.energy.total(instance, replicas), rel=1e-11)
    reports = "energy" in solver.record(instance, state)
    assert all((energy is not None) == reports for energy in energies)


@pairs
def test_same_stream_same_result(model, solver):
    instance, solver = case(model, solver)
    first, second = (solve(instance, solver, np.random.default_rng(8)) for _ in range(2))
    assert_same(first, second)
    np.testing.assert_equal(first.trace.records, second.trace.records)


@pairs
def test_resumed_run_is_the_uninterrupted_one(model, solver):
    """Stopped after some sweeps and resumed with the stream passed on, a run ends where it would have."""
    instance, solver = case(model, solver)
    rng = np.random.default_rng(4)
    state = solver.init(instance, rng)
    for _ in range(3):
        if solver.status(instance, state) is None:
            state = solver.sweep(instance, state, rng)
    kept = copy.deepcopy(state)
    resumed = solve(instance, solver, rng, state=state)
    assert_same(resumed, solve(instance, solver, 4))
    np.testing.assert_equal(vars(state), vars(kept))
    assert_same(solve(instance, solver, rng, state=resumed.state), resumed)


@pairs
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (0, 3), (4, 1), (70, 5)])
def test_small_and_lopsided_instances(model, solver, shape):
    """A single weight, a single pattern, no pattern at all, far more patterns than can be satisfied."""
    name, model, solver = model, model_of(model), ALL_SOLVERS[solver]
    rng = np.random.default_rng(0)
    shape = (shape[0], model.n_inputs(model.n_hidden * shape[1]))
    patterns = rng.choice([-1, 1], size=shape) if model.patterns == "binary" else rng.standard_normal(shape)
    instance = tethered(name, Instance(patterns, rng.choice([-1, 1], size=shape[0]), model=model))
    result = solve(instance, solver, 1)
    assert_consistent(instance, result)
    assert shape[0] > 0 or result.observables.get("energy", 0) == 0
    assert result.status is not Status.DIVERGED


@pairs
def test_runs_go_on_only_from_their_own_state(model, solver):
    """A state of another solver, of other data or of another size is refused, and so is anything else."""
    name, (instance, solver) = model, case(model, solver)
    model, patterns, labels, teacher = instance.model, instance.patterns, instance.labels, instance.teacher
    result = solve(instance, solver, 1)
    changed = patterns.copy()
    changed[-1, -1] *= -1
    others = [
        model.sample(sized(model, N), 4),
        model.sample(sized(model, N + 8), 3),
        Instance(patterns, -labels, teacher, model),
        Instance(changed, labels, teacher, model),
        Instance(patterns[:-1], labels[:-1], teacher, model),
    ]
    others = [tethered(name, other) for other in others]
    if name in TETHERED:
        own = Instance(patterns, labels, teacher, model)
        others += [own, tethered(name, own, scale=2.0)]
    for other in others:
        with pytest.raises(
            InputError, match=r"^state: got an? \w+ of another instance or model; allowed: .*\.$"
        ):
            solve(other, solver, 1, state=result.state)
    strangers = [
        other
        for other in ALL_SOLVERS.values()
        if type(other) is not type(solver) and (name not in TETHERED or other.takes_external)
    ]
    states = [solve(instance, other, 1).state for other in strangers if other.supports(model) is None]
    for state in (*states, result, "x", 3):
        with pytest.raises(InputError, match=r"^state: got an object of type \w+; allowed: .*\.$"):
            solve(instance, solver, 1, state=state)
    same = tethered(name, Instance(patterns.copy(), labels.tolist(), teacher, copy.deepcopy(model)))
    assert_same(solve(same, solver, 1, state=result.state), solve(instance, solver, 1, state=result.state))


OTHER_RECIPES = [
    ("BeliefPropagation", {"messages": "exact"}, "one of gaussian messages"),
    ("ReinforcedBP, exact", {"messages": "gaussian"}, "one of exact messages"),
    ("FocusingBP", {"messages": "exact"}, "one of gaussian messages"),
    ("FocusingBP", {"protocol": Scoping(7, (0.1, 0.4, 0.8, 1.2))}, "one of another protocol"),
    ("MaxSum", {"rate": 0.0}, "one with reinforcement"),
    ("ReplicatedSGD", {"n_replicas": 5}, "one of 3 replicas"),
    ("AMP", {"joint": False}, "one of joint=True"),
]


@pytest.mark.parametrize(("name", "changes", "sentence"), OTHER_RECIPES)
def test_runs_go_on_only_by_their_own_recipe(name, changes, sentence):
    """What a state holds depends on some of its solver's fields: with others it would be called what it is not."""
    instance, solver = case("committee" if name == "AMP" else "storage, margin", name, N=21)
    other, rng = dataclasses.replace(solver, **changes), generator(1)
    for first, second, said in ((solver, other, sentence), (other, solver, "one ")):
        state = first.sweep(instance, first.init(instance, rng), rng)
        with pytest.raises(InputError, match=rf"^state: got {said}.*; allowed: states .*\.$"):
            solve(instance, second, 1, state=state)


def test_a_longer_protocol_goes_on_from_a_shorter_one():
    instance, couplings = ALL_MODELS["storage, margin"].sample(21, 3), (0.1, 0.4, 0.8, 1.2)
    longer, shorter = (FocusingBP(Scoping(5, couplings[:n]), stop=False) for n in (4, 2))
    state = solve(instance, shorter, 1).state
    assert_same(solve(instance, longer, 1, state=state), solve(instance, longer, 1))
    with pytest.raises(InputError, match=r"^state: got one of another protocol; "):
        solve(instance, shorter, 1, state=solve(instance, longer, 1).state)


def test_a_state_belongs_to_its_measure():
    """The same data under another margin are another instance; under another load they are the same."""
    model = ALL_MODELS["storage"]
    instance = model.sample(N, 3)
    for solver in ALL_SOLVERS.values():
        state = solve(instance, solver, 1).state
        stricter = dataclasses.replace(model, margin=0.5)
        with pytest.raises(InputError, match=r"^state: "):
            solve(Instance(instance.patterns, instance.labels, model=stricter), solver, 1, state=state)
        realised = Instance(instance.patterns, instance.labels, model=model.with_alpha(instance.alpha))
        assert_consistent(realised, solve(realised, solver, 1, state=state))


@pytest.mark.parametrize(("model", "solver"), REFUSED, ids=[" | ".join(pair) for pair in REFUSED])
def test_unsupported_models_are_refused_in_a_sentence(model, solver):
    instance, solver = case(model, solver)
    sentence = solver.supports(instance.model)
    assert type(solver).__name__ in sentence
    assert sentence.endswith(".")
    with pytest.raises(InputError) as caught:
        solve(instance, solver, 0)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("solver", ALL_SOLVERS)
@pytest.mark.parametrize("rng", [None, -1, 0.5, "0", True])
def test_streams_are_never_made_up(solver, rng):
    instance, solver = case("storage", solver)
    with pytest.raises(InputError, match=r"^rng: got .*; allowed: a numpy.random.Generator, .*\.$"):
        solve(instance, solver, rng)


def spoiled(where):
    patterns = np.ones((4, 3))
    patterns[2, 1] = where
    return patterns


@pytest.mark.parametrize(
    ("patterns", "labels", "sentence"),
    [
        (spoiled(np.nan), np.ones(4), "patterns: got 1 entries that are NaN or infinite; allowed: "),
        (spoiled(np.inf), np.ones(4), "patterns: got 1 entries that are NaN or infinite; allowed: "),
        (spoiled(0.5), np.ones(4), r"patterns: got entries such as 0\.5; allowed: -1 and \+1 for binary"),
        (spoiled(2).astype(int), np.ones(4), r"patterns: got entries such as 2; allowed: -1 and \+1"),
        (np.ones(4), np.ones(4), r"patterns: got float64 of shape \(4,\); allowed: an array \(P, N\)"),
        ([[1, -1], [1]], [1, 1], r"patterns: got \[\[1, -1\], \[1\]\]; allowed: an array \(P, N\)"),
        (np.ones((4, 3)), [[1, 1], [1]], r"labels: got \[\[1, 1\], \[1\]\]; allowed: -1 and \+1"),
        (np.ones((4, 3)), np.ones(3), r"labels: got shape \(3,\); allowed: shape \(4,\)"),
        (np.ones((4, 3)), np.zeros(4), r"labels: got .* other than -1 and \+1; allowed: -1 and \+1"),
        (np.ones((4, 3)), np.full(4, np.nan), r"labels: got .* other than -1 and \+1; allowed: -1 and \+1"),
    ],
)
def test_bad_instances_are_refused_in_a_sentence(patterns, labels, sentence):
    with pytest.raises(InputError, match=rf"^{sentence}.*\.$"):
        Instance(patterns, labels, model=ALL_MODELS["storage"])


@pytest.mark.parametrize(
    ("arguments", "field"),
    [(("instance", "AMP()", 0), "instance"), ((Instance([[1]], [1]), "AMP()", 0), "solver")],
)
def test_solve_names_what_is_of_the_wrong_kind(arguments, field):
    with pytest.raises(InputError, match=rf"^{field}: got .*; allowed: .*\.$"):
        solve(*arguments)


@pytest.mark.parametrize("name", [name for name, solver in ALL_SOLVERS.items() if not solver.takes_external])
def test_tethers_that_a_solver_does_not_take_are_refused(name):
    instance, solver = case("storage, tethered", name)
    with pytest.raises(
        InputError, match=rf"^solver: {type(solver).__name__} takes no instance that is tethered"
    ):
        solve(instance, solver, 1)
