"""What the kinds of belief propagation share: messages from patterns to binary weights, and the Bethe free entropy."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from physlearn.inputs import reject
from physlearn.kernels import belief_propagation as kernels
from physlearn.kernels.threads import in_slices
from physlearn.models import Binary, Channel, Committee, Instance, Model
from physlearn.models.base import integer_bounds
from physlearn.models.channels import interval
from physlearn.solvers.base import State

# The least variance of a sum of +-1 or normal terms that is taken for Gaussian: that of a single uncertain weight.
FLOOR = 1.0
# Below this number of messages a thread costs more than it saves.
_WORTH_A_THREAD = 300_000
_TINY = 1e-30
# The logarithm of the number of solutions is called negative below this: a single solution has zero, but for rounding.
_ROUNDING = 1e-6


@dataclass
class MessagesState(State):
    """What the next sweep of belief propagation needs.

    Attributes
    ----------
    messages : ndarray, shape (P, N)
        u: half the logarithm of the odds with which a pattern wants a weight to be +1.
    field : ndarray, shape (N,)
        The total field h of each weight, whose mean is tanh h: that of the instance, the messages and the `pull`.
    pull : ndarray, shape (N,)
        What a reinforcement or other replicas add to the field.
    weights : ndarray, shape (N,)
        The signs of the field; of a random draw where it vanishes.
    residual : float
        Largest change of a message in the last sweep, before damping: of that sweep alone.
    kind : str
        "gaussian" or "exact" as they are; empty before the first sweep.
    """

    messages: np.ndarray
    field: np.ndarray
    pull: np.ndarray
    draw: np.ndarray
    weights: np.ndarray
    residual: float = math.inf
    diverged: bool = False
    n_sweeps: int = 0
    kind: str = ""

    @property
    def mean(self) -> np.ndarray:
        """Magnetisations tanh h."""
        return np.tanh(self.field)


def refusal(name: str, model: Model, messages: str = "gaussian") -> str | None:
    """None, or why these messages cannot treat the model."""
    if not (model.is_single or isinstance(model, Committee)):
        return f"{name} treats perceptrons and committees, which {type(model).__name__} is not."
    if not isinstance(model.prior, Binary):
        return f"{name} needs binary weights; {type(model).__name__} has the prior {model.prior!r}."
    if not isinstance(model.channel, Channel):
        return f"{name} needs a model with a Channel; {type(model).__name__} has none."
    if messages == "exact" and model.patterns != "binary":
        return f"{name} with exact messages needs patterns of -1 and +1, so that sums are integers."
    return None


def seeking_refusal(name: str, model: Model, messages: str) -> str | None:
    """The same of a solver that ends where no constraint is violated."""
    refused = refusal(name, model, messages)
    return refused or (model.energy_refusal and f"{name} seeks zeros of the energy: {model.energy_refusal}")


def start(instance: Instance, spread: float, rng: np.random.Generator) -> dict[str, Any]:
    """The fields of a `MessagesState` without messages yet.

    There are normal fields of standard deviation `spread` beside the instance's own.
    """
    N = instance.N
    draw = instance.model.draw(N, rng).astype(np.int8)
    field = spread * rng.standard_normal(N)
    if instance.external is not None:
        field = field + instance.external
    return {
        "fingerprint": instance.fingerprint,
        "messages": np.zeros((instance.P, N)),
        "field": field,
        "pull": np.zeros(N),
        "draw": draw,
        "weights": _signs(field, draw),
    }


def _signs(field: np.ndarray, draw: np.ndarray) -> np.ndarray:
    return np.where(field == 0, draw, np.sign(field)).astype(np.int8)


def signs(state: MessagesState) -> np.ndarray:
    """The most probable sign of each weight."""
    return _signs(state.field, state.draw)


def check_kind(state: MessagesState, messages: str) -> None:
    """Refuse to go on from messages of another kind."""
    if state.kind not in ("", messages):
        raise reject("state", f"one of {state.kind} messages", f"states of this solver's {messages} messages")


def advance(instance: Instance, state: MessagesState, messages: str, damping: float) -> np.ndarray:
    """One sweep: new messages of all patterns from the same fields; returns their sums, shape (N,).

    The caller sets the new total field.
    """
    P, N = instance.P, instance.N
    n_blocks = -(-P // kernels.ROWS)
    totals, changes = np.zeros((n_blocks, N)), np.zeros(n_blocks)
    gauged, K, kept = instance.gauged, instance.model.n_hidden, damping
    bounds = interval(instance.model.channel)
    if messages == "exact":
        tables, which = _tables(instance.model, N // K), (instance.labels > 0).astype(np.int8)
        masses = np.ones(P)

        def work(first: int, last: int) -> None:
            kernels.sweep_exact(
                gauged, tables, which, K, state.messages, state.field, kept,
                totals, changes, masses, first, last,
            )  # fmt: skip

    elif bounds is not None:
        ends = np.array(bounds) * math.sqrt(N // K)
        largest = _largest(gauged)

        def work(first: int, last: int) -> None:
            kernels.sweep_gaussian(
                gauged,
                largest,
                K,
                state.messages,
                state.field,
                ends,
                FLOOR,
                kept,
                totals,
                changes,
                first,
                last,
            )

    else:

        def work(first: int, last: int) -> None:
            for block in range(first, last):
                rows = slice(block * kernels.ROWS, min(P, (block + 1) * kernels.ROWS))
                new = _of_any_channel(instance, state, rows)
                changes[block] = np.abs(new - state.messages[rows]).max(initial=0.0)
                state.messages[rows] = (1 - kept) * new + kept * state.messages[rows]
                totals[block] = state.messages[rows].sum(axis=0)

    shared(work, n_blocks, P * N if bounds is not None else 0)
    state.residual = float(changes.max(initial=0.0))
    state.n_sweeps += 1
    state.kind = messages
    state.diverged |= not np.isfinite(state.residual)
    return totals.sum(axis=0)


def log_masses(instance: Instance, state: MessagesState, messages: str) -> np.ndarray:
    """ln Z_mu of each pattern, given the state's cavity means."""
    P, N, K = instance.P, instance.N, instance.model.n_hidden
    with np.errstate(all="ignore"):
        if messages == "exact":
            n_blocks = -(-P // kernels.ROWS)
            masses, which = np.ones(P), (instance.labels > 0).astype(np.int8)
            kernels.sweep_exact(
                instance.gauged, _tables(instance.model, N // K), which, K, state.messages.copy(), state.field,
                1.0, np.zeros((n_blocks, N)), np.zeros(n_blocks), masses, 0, n_blocks,
            )  # fmt: skip
            return np.log(masses)
        mean, variance = cavity_moments(instance, state)
        if K == 1:
            mean, variance = mean[:, 0], variance[:, 0]
        labels = instance.labels[:, None] if K > 1 else instance.labels
        return instance.model.channel.log_partition(instance.labels, labels * mean, variance)


def cavity_moments(instance: Instance, state: MessagesState) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each pattern's stability at each unit in the pattern's absence, each (P, K)."""
    P, K = instance.P, instance.model.n_hidden
    mean, variance = np.empty((2, P, K))

    def work(first: int, last: int) -> None:
        kernels.cavity_sums(instance.gauged, K, state.messages, state.field, mean, variance, first, last)

    shared(work, P, state.messages.size)
    D = instance.N // K
    return mean / math.sqrt(D), np.maximum(variance, _TINY) / D


def log_cosh_of_cavities(instance: Instance, state: MessagesState) -> float:
    """Sum over all messages of ln 2cosh(h - u)."""
    totals = np.empty(instance.P)
    shared(
        lambda first, last: kernels.log_cosh_sums(state.messages, state.field, totals, first, last),
        instance.P,
        state.messages.size,
    )
    return float(totals.sum())


def log_2cosh(field: np.ndarray) -> np.ndarray:
    """ln 2cosh, without overflow."""
    return np.logaddexp(field, -field)


def free_entropy(
    instance: Instance, state: MessagesState, messages: str, sites: float | None = None
) -> float:
    r"""The Bethe free entropy per weight (BP.7); stationary at the fixed points of belief propagation.

    .. math:: N \phi = \sum_\mu \ln Z_\mu + \sum_i \ln 2\cosh h_i
              - \sum_{\mu i} [\ln 2\cosh h_i - \ln 2\cosh(h_i - u_{\mu i})]

    `sites` takes the place of the second sum.
    """
    each = log_2cosh(state.field)
    total = float(each.sum()) if sites is None else sites
    total += float(log_masses(instance, state, messages).sum())
    total -= instance.P * float(each.sum()) - log_cosh_of_cavities(instance, state)
    return total / instance.N


def is_hopeless(instance: Instance, weights: np.ndarray) -> bool:
    """Whether these weights violate a constraint, and plainly all others do: Gaussian messages don't see that."""
    model = instance.model
    return (
        model.energy_refusal is None and model.energy(instance, weights) > 0 and bool(instance.contradiction)
    )


def entropy_of(instance: Instance, phi: float, mean: np.ndarray) -> dict[str, float]:
    """The free entropy and, where P(y|h) is zero or one, the entropy phi - B.m/N."""
    observables = {"free_entropy": phi}
    if interval(instance.model.channel) is not None:
        own = 0.0 if instance.external is None else float(instance.external @ mean) / instance.N
        observables["entropy"] = phi - own
    return observables


def counts_none(instance: Instance, phi: float, mean: np.ndarray) -> bool:
    """Whether a fixed point counts no configuration at all: some pattern is impossible, or ln of their number negative.

    Where there is a teacher there is a configuration, and a fixed point of negative entropy is metastable beside it.
    """
    entropy = entropy_of(instance, phi, mean).get("entropy", math.inf)
    negative = isinstance(instance.model.prior, Binary) and instance.N * entropy < -_ROUNDING
    return not math.isfinite(phi) or (instance.teacher is None and negative)


def own_field(instance: Instance, total: np.ndarray) -> np.ndarray:
    """The sums of the messages, with the instance's external field."""
    return total if instance.external is None else total + instance.external


def teacher_overlap(instance: Instance, mean: np.ndarray) -> float:
    """Overlap of means with the teacher; of a committee, its units in the order that makes it largest."""
    teacher = instance.teacher
    assert teacher is not None
    if isinstance(instance.model, Committee):
        mean = instance.model.matched(mean, teacher)
    return float(mean @ teacher.astype(np.float64)) / instance.N


def _largest(gauged: np.ndarray) -> np.ndarray:
    """Largest absolute entry of each pattern."""
    if gauged.dtype == np.int8:
        return np.ones(len(gauged))
    return np.abs(gauged).max(axis=1, initial=0.0)


def _tables(model: Model, D: int) -> np.ndarray:
    """Weight of patterns with n of D inputs in agreement with the weights, for labels -1 and +1: shape (2, D + 1)."""
    sums = 2 * np.arange(D + 1) - D
    if model.n_hidden > 1:
        return np.tile((sums > 0).astype(np.float64), (2, 1))
    bounds = interval(model.channel)
    if bounds is not None:
        lowest, highest = integer_bounds(bounds, D)
        return np.tile(((sums >= lowest) & (sums <= highest)).astype(np.float64), (2, 1))
    fields = sums / math.sqrt(D)
    with np.errstate(all="ignore"):
        logs = [model.channel.log_partition(np.float64(y), y * fields, _TINY) for y in (-1, 1)]
    return np.exp(np.array(logs, dtype=np.float64))


def _of_any_channel(instance: Instance, state: MessagesState, rows: slice) -> np.ndarray:
    """Gaussian messages of some patterns through any channel, from its log Z_out."""
    N, channel = instance.N, instance.model.channel
    patterns = instance.patterns[rows].astype(np.float64)
    labels = instance.labels[rows, None].astype(np.float64)
    cavity = state.field - state.messages[rows]
    mean, variance = np.tanh(cavity), np.square(1 / np.cosh(np.clip(cavity, -300, 300)))
    own_mean, own_variance = patterns * mean, patterns**2 * variance
    centre = own_mean.sum(axis=1, keepdims=True) - own_mean
    width = np.maximum(own_variance.sum(axis=1, keepdims=True) - own_variance, FLOOR) / N
    with np.errstate(all="ignore"):
        logs = [
            channel.log_partition(labels, (centre + sign * patterns) / math.sqrt(N), width)
            for sign in (1, -1)
        ]
    return np.clip((logs[0] - logs[1]) / 2, -kernels.STRONGEST, kernels.STRONGEST)


def shared(work: Any, n_items: int, n_entries: int, worth: int = _WORTH_A_THREAD) -> None:
    """Call ``work(first, last)`` on all items, in slices on several threads where there are `worth` entries or more."""
    if n_entries < worth:
        work(0, n_items)
    else:
        in_slices(work, n_items)
