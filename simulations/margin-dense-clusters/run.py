"""Run this study: ``python run.py [--profile laptop] [--jobs N] [--out DIR]``."""

import sys
from pathlib import Path

from physlearn.cli import main

sys.exit(main(["scan", str(Path(__file__).with_name("study.toml")), *sys.argv[1:]]))
