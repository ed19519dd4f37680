"""``python -m sitemanager`` is ``sm``."""

import sys

from .cli import main

sys.exit(main())
