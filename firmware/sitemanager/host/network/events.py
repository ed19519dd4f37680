"""Tells that somebody changed the network: firewall rules, links, forwarding. Not what: whoever hears it looks himself.

A firewall that is loaded anew (``flush ruleset``) takes the sessions' rules away; the kernel says so at once on a
netlink socket, to those with CAP_NET_ADMIN.
"""

from __future__ import annotations

import errno
import socket
from typing import Final

# <linux/netlink.h>, <linux/netfilter/nfnetlink.h>, <linux/rtnetlink.h>: as bits, group N is bit N - 1.
_NETLINK_ROUTE, _NETLINK_NETFILTER = 0, 12
_NFNLGRP_NFTABLES: Final = 1 << (7 - 1)
_RTNLGRP_LINK: Final = 1 << (1 - 1)
_RTNLGRP_IPV4_NETCONF: Final = 1 << (24 - 1)
_READ_BYTES: Final = 64 * 1024


class NetworkEvents:
    """Two sockets that become readable when something changed."""

    def __init__(self) -> None:
        self.sockets = [
            _listener(_NETLINK_NETFILTER, _NFNLGRP_NFTABLES),
            _listener(_NETLINK_ROUTE, _RTNLGRP_LINK | _RTNLGRP_IPV4_NETCONF),
        ]

    def drain(self) -> None:
        """Forget what was told so far. Events that were too many for the kernel's buffer count like any other."""
        for listener in self.sockets:
            while True:
                try:
                    listener.recv(_READ_BYTES)
                except BlockingIOError:
                    break
                except OSError as error:
                    if error.errno != errno.ENOBUFS:
                        break

    def close(self) -> None:
        """Close the sockets."""
        for listener in self.sockets:
            listener.close()


def _listener(protocol: int, groups: int) -> socket.socket:
    listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
    try:
        listener.bind((0, groups))
    except OSError:
        listener.close()
        raise
    return listener
