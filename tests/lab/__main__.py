"""`python -m lab`, which is what `./lab` runs."""

import sys

from lab.cli import main
from lab.staging import occupy

sys.exit(main(occupy=occupy))
