"""Axes times instances into a dataset, and the studies that say which."""

from physlearn.scan.engine import Scan, TaskError
from physlearn.scan.study import Study

__all__ = ["Scan", "Study", "TaskError"]
