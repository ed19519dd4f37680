"""``python -m lm_client.page HOME``: the page in the background; ``lm ui`` starts it."""

from __future__ import annotations

import sys

from .running import main

sys.exit(main())
