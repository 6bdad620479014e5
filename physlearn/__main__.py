"""``python -m physlearn`` is the command ``physlearn``."""

from physlearn.cli import command

command()
