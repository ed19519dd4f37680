"""Gatelink GateManager: the broker that SiteManagers and LinkManagers dial.

Inner ring (decisions; no I/O, time comes in as ``now``):
``access.rights`` decides what grants allow, ``access.tickets`` and ``access.tunnels`` hand out what a session needs,
``access.live`` is the table of live sessions, ``accounts.throttle`` slows guessing, ``frontdoor.places`` bounds what
strangers take, ``frontdoor.redirect`` answers plain HTTP, ``names`` and ``config`` check what people write.

Records: ``database`` holds the tables and the one thread that works on them, ``migrations`` their history;
``appliances``, ``accounts`` and ``access.grants`` are what can be asked and changed there, one transaction each.

Services: ``frontdoor`` accepts, peeks and hands over; ``service`` is behind it: enrolment, control, sessions and the
supervisor that ends what is no longer granted; ``relay`` carries the sessions' bytes in the kernel; ``web`` is the
browser's side; ``local`` is the socket by which the command line asks the running server.

``cli`` is the command ``gm``.
"""

__version__ = "0.1.0"
