"""Legends, titles and labels: outside of the data, and as wide as there is room."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.container import ErrorbarContainer

from physlearn.plotting.style import LINES, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE = 9.5  # of the text
_MOST_ROWS = 4  # below the panels


def add_legend(figure: "Figure", axes: "Iterable[Axes]") -> None:
    """One legend below the panels without one of their own; it says what a dashed line means, if there is one."""
    lines: dict[str, Any] = {}
    markers: dict[str, Any] = {}
    dashed = False
    for ax in axes:
        handles, labels = ax.get_legend_handles_labels()
        if ax.get_legend() is None:
            for label, handle in zip(labels, handles, strict=True):
                (markers if isinstance(handle, ErrorbarContainer) else lines).setdefault(label, handle)
        dashed |= any(
            line.get_linestyle() == "--" and np.isfinite(line.get_ydata()).any() for line in ax.get_lines()
        )
    if dashed:
        lines["dashed: metastable, unstable or unphysical"] = plt.Line2D(
            [], [], color=LINES[0], lw=1.2, ls=(0, (4, 2))
        )
    if not lines and not markers:
        return
    width, height = figure.get_size_inches()
    labels, rows = _in_columns(list(lines), list(markers), 72 * width)
    if rows > _MOST_ROWS and markers:
        # Many series go to the right instead, one below the other.
        columns = -(-len(markers) // int(72 * height / 16))
        wider = columns * (max(text_width(label, _SIZE) for label in markers) + 4.5 * _SIZE) / 72
        figure.legend(list(markers.values()), list(markers), loc="outside right upper", ncols=columns)
        figure.set_size_inches(width + wider, height)
        width, height = figure.get_size_inches()
        labels, rows = _in_columns(list(lines), [], 72 * width)
    if labels:
        entries = {**lines, **markers, "": plt.Line2D([], [], ls="none")}
        figure.set_size_inches(width, height + 0.22 * rows)
        handles = [entries[label] for label in labels]
        figure.legend(handles, labels, loc="outside lower center", ncols=-(-len(labels) // rows))


def _in_columns(lines: list[str], markers: list[str], width: float) -> tuple[list[str], int]:
    """The labels, and the number of rows that make them fit; rows are filled column by column.

    Markers begin a column of their own, so that there are two rows or more; blanks fill up the last column of lines.
    """
    labels, rows = [*lines, *markers], 1
    least = 2 if lines and len(markers) > 1 else 1
    for rows in range(least, len(lines) + len(markers) + 1):
        blanks = [""] * (-len(lines) % rows if lines and markers else 0)
        labels = [*lines, *blanks, *markers]
        # A column also has a stroke and two gaps; glyphs are wider on a screen than in theory.
        columns = [labels[k : k + rows] for k in range(0, len(labels), rows)]
        needed = sum(
            max(1.05 * text_width(label, _SIZE) for label in column) + 5 * _SIZE for column in columns
        )
        if needed + 2 * _SIZE <= width:
            break
    return labels, rows
