"""``python -m lm_client.cli``."""

from . import main

if __name__ == "__main__":
    main()
