"""Who may reach what, and the sessions that follow from it.

Core (no I/O): ``rights`` decides, ``tickets`` admits each leg once, ``tunnels`` gives addresses, ``live`` is the table
of live sessions. Records: ``grants`` (what administrators change), ``facts`` (what a decision reads), ``history``.
"""
