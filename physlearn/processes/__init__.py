"""Child processes in which workers run their tasks: what kills one of them costs a task and nothing else.

An engine that loses a worker gives up more than a task: loky ends all its other workers, Dask begins again what was
finished. So a worker only hands on, and waits; and its child, if it can write down what it finishes, may outlive it.
Neither a worker nor this package needs any of the modules that the tasks need.
"""

from physlearn.processes.child import Child, ChildError, Died
from physlearn.processes.lives import end_process, exists
from physlearn.processes.marks import ANSWER, revoke, take_answer
from physlearn.processes.sealing import Sealed, Sealer, run_numbered
from physlearn.processes.serving import serve

__all__ = [
    "ANSWER",
    "Child",
    "ChildError",
    "Died",
    "Sealed",
    "Sealer",
    "end_process",
    "exists",
    "revoke",
    "run_numbered",
    "serve",
    "take_answer",
]
