"""The SiteManager: the gateway at the machine, as the daemon and the command ``sm``.

    cli        what a person types; imports late, for a small gateway starts as fast as it imports
    web        the set-up page: a process without rights that asks the daemon on its local socket
    services   the daemon: keeps the control connection, runs sessions, answers ``sm status``
    host       what the operating system is asked for: network, state directory, clock
    core       what is decided, as data and text: no I/O, time comes in

Arrows point down only; ``web`` knows of ``core`` alone. ``services.daemon`` is where it all meets: the GateManager's
messages go to ``services.sessions``; a session is admitted by ``core.admission``, becomes part of a
``core.desired.DesiredState``, and ``host.network`` makes the kernel be in that state: TAP, addresses, forwarding, and
the nftables text of ``core.rules``. What runs beside the link is a part: ``services.parts`` is where one is added.
"""

__version__ = "0.1.0"
