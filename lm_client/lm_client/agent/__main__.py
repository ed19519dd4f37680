"""``python -m lm_client.agent HOME``: the background process of ``lm login``."""

import sys

from .program import main

if __name__ == "__main__":
    sys.exit(main())
