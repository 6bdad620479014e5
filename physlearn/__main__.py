"""``python -m physlearn`` is the command ``physlearn``."""

import sys

from physlearn.cli import main

sys.exit(main())
