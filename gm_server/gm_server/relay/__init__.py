"""Joins the two legs of a session: bytes go from socket to socket inside the kernel, in processes of their own.

The GateManager's process (TLS handshakes, portal) would make a PLC's packets wait for Python's interpreter lock, so it
hands both sockets of a session to a worker process and hears how it went:

    pool      the GateManager's side: ``RelayPool`` starts, replaces and commands the workers
    messages  what the two say to each other over a Unix socketpair
    worker    the process: ``python -m gm_server.relay.worker``
    splicer   its loop: one epoll set, many sessions
    session   one session: two directions, each from one leg to the other
    pipes     the kernel pipes that bytes are spliced through

Nothing is imported here, because the worker's process is to stay small: ``from gm_server.relay.pool import RelayPool``.
"""
