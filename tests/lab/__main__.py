"""`python -m lab`, which is what `./lab` runs."""

import sys

from lab.cli import main

sys.exit(main())
