"""Axes times instances into a dataset, and the studies that say which."""

from physlearn.scan.dataset import stated
from physlearn.scan.directory import Directory
from physlearn.scan.engine import Scan
from physlearn.scan.merge import merge
from physlearn.scan.names import call, construct, resolve
from physlearn.scan.preview import Preview
from physlearn.scan.progress import Progress, progress
from physlearn.scan.refine import refine
from physlearn.scan.runs import TaskWarning
from physlearn.scan.storage import read
from physlearn.scan.study import Study
from physlearn.scan.tables import table
from physlearn.scan.tasks import TaskError

__all__ = [
    "Directory",
    "Preview",
    "Progress",
    "Scan",
    "Study",
    "TaskError",
    "TaskWarning",
    "call",
    "construct",
    "merge",
    "progress",
    "read",
    "refine",
    "resolve",
    "stated",
    "table",
]
