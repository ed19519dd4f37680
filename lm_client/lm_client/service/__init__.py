"""The part with rights, small enough to be read in one sitting: opens TAP adapters and sets host routes, nothing else.

A caller connects to the Unix socket; the kernel says who he is (SO_PEERCRED). One connection is one tunnel:

    caller -> service    OpenTunnel, ChangeRoutes (any number of times), CloseTunnel
    service -> caller    TunnelOpened with the TAP's descriptor, RoutesChanged, TunnelClosed, or ServiceRefusal

When the connection ends, for whatever reason, the adapter and its routes are removed. The adapter is not persistent:
when service and caller both die, the kernel removes it with their descriptors.

``protocol`` are the messages and their bounds, ``rules`` what may be asked for at all (no I/O), ``callers`` who may
ask, ``tunnel`` the life of one connection, ``listener`` the socket. What touches the kernel is ``lm_client.host``.
"""
