"""Axes times instances into a dataset, and the studies that say which."""

from physlearn.scan.engine import Scan, TaskError
from physlearn.scan.names import call, construct, resolve
from physlearn.scan.storage import read
from physlearn.scan.study import Study
from physlearn.scan.tables import table

__all__ = ["Scan", "Study", "TaskError", "call", "construct", "read", "resolve", "table"]
