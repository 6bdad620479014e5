"""The look of all figures: colours, markers, and the words on the axes."""

import re
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.textpath import TextPath

from physlearn.scan.variables import VARIABLES

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes


# Okabe and Ito's colours, which the colour-blind tell apart; every colour comes with a marker of its own.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", "p", ">", "h", "*")
LINES = ("#000000", "#7F7F7F", "#0072B2", "#D55E00")
SYMBOLS = {
    "alpha": r"$\alpha = P/N$",
    "N": "$N$",
    "beta": r"$\beta$",
    "half_width": "$K$",
    "n_hidden": "$K$",
    "margin": r"$\kappa$",
}
STYLE = {
    "axes.grid": True,
    "axes.labelsize": 10,
    "axes.prop_cycle": matplotlib.cycler(color=COLOURS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10.5,
    "errorbar.capsize": 0,
    "figure.dpi": 100,
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "savefig.dpi": 150,
    "svg.hashsalt": "physlearn",
}


def look(k: int, n: int, shift: int = 0) -> tuple[str, str]:
    """Colour and marker of the k-th of n series; beyond seven, colours go from dark to light in order."""
    if n <= len(COLOURS):
        colour = COLOURS[k]
    else:
        # Yellow, at the end of the map, is too light for thin lines.
        colour = matplotlib.colors.to_hex(matplotlib.colormaps["plasma"](0.88 * k / (n - 1)))
    return colour, MARKERS[(k + shift) % len(MARKERS)]


def named(axis: str, value: Any) -> str:
    """``N = 501``, ``margin = 0.5``: a value on an axis."""
    shown = f"{value:.6g}" if isinstance(value, (float, np.floating)) else str(value)
    return f"{axis.replace('_', ' ')} = {shown}"


def label(data: "xarray.DataArray") -> str:
    """What an axis shows, in words, with its symbol and units."""
    long_name, usual_units = VARIABLES.get(str(data.name), (str(data.name), "1"))
    name = data.attrs.get("long_name", long_name)
    units = data.attrs.get("units", usual_units)
    symbol = SYMBOLS.get(str(data.name))
    if symbol:
        name = f"{name.removesuffix(' P/N')} {symbol}"
    return name if units == "1" else f"{name} [{units}]"


def rate_label(data: "xarray.DataArray") -> str:
    """What the mean of an outcome is: the fraction of instances where ..."""
    outcome = str(data.attrs.get("long_name", ""))
    return "fraction of instances" + (
        f" where {outcome.removeprefix('whether ')}" if outcome.startswith("whether ") else ""
    )


def text_width(text: str, size: float) -> float:
    """Width of a line of text, in points."""
    return float(TextPath((0, 0), text, size=size).get_extents().width) if text.strip() else 0.0


def extent(ax: "Axes") -> tuple[float, float]:
    """Width and height of the axes in points: about, as the layout is settled only when the figure is drawn."""
    return ax.bbox.width * 72 / ax.figure.dpi, ax.bbox.height * 72 / ax.figure.dpi


def wrapped(text: str, width: float, size: float) -> str:
    """`text` in lines that are no wider than `width` points, broken between words and outside of formulas."""
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in re.split(r" +(?=(?:[^$]*\$[^$]*\$)*[^$]*$)", paragraph):
            longer = f"{line} {word}" if line else word
            if line and text_width(longer, size) > width:
                lines.append(line)
                line = word
            else:
                line = longer
        lines.append(line)
    return "\n".join(lines)
