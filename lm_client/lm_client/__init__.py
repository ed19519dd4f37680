"""The LinkManager: what an engineer's PC runs to reach devices behind a SiteManager.

Three programs out of one command, ``lm``:

- ``lm service`` runs as root and does nothing but open TAP adapters and set host routes (``service``, over ``host``),
- ``lm agent`` runs as the user, in the background from ``lm login`` to ``lm logout``: it holds key and password in
  memory, keeps the connection to the GateManager and carries the sessions (``agent``),
- the other commands ask the agent and print its answers (``cli``).

``core`` decides without any I/O: names, the words between command and agent, which keys are remembered. ``home`` keeps
the user's files, ``config`` reads what he may set.
"""

__version__ = "0.1.0"
