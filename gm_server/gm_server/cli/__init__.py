"""The command ``gm``: runs and administers a GateManager.

Each command works on the database in one transaction; what only the running server knows is asked over its local
socket. Errors are one line on stderr; the exit status is 2 for wrong input and 1 for everything else that went wrong.
"""

from .program import main

__all__ = ["main"]
