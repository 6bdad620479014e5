"""Draw ``figure.png`` beside this file: ``python figure.py DIR``, from the data that a run has left in DIR."""

import sys
from pathlib import Path

from physlearn.plotting import plot_study

if len(sys.argv) != 2:
    sys.exit("usage: python figure.py DIR, the directory of a run's data")
print(plot_study(sys.argv[1], Path(__file__).with_name("figure.png")))
