"""Program: tells of every IP and ARP packet that an interface gets, whoever it is for: to show what did not arrive.

    python -P -m netns.link_listener INTERFACE...

Says "listening", then a line for each packet that comes in: "eth0 tcp 192.168.50.1 > 192.168.50.10 502", for ICMP the
type in the place of the port, for later fragments "-". IPv6 likewise, without a look behind extension headers.
"""

from __future__ import annotations

import ipaddress
import select
import socket
import struct
import sys

_ETH_P_ALL = 3
_PACKET_OUTGOING = 4
_NAMES = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6"}
_READ_BYTES = 65536


def describe(frame: bytes) -> str | None:
    """Return what the packet is; None for what is neither IP nor ARP (who is looked for is a trace, too)."""
    kind, packet = frame[12:14], frame[14:]
    if kind == b"\x08\x00" and len(packet) >= 20:
        protocol, source, target = packet[9], packet[12:16], packet[16:20]
        payload = packet[(packet[0] & 15) * 4 :]
        first = not int.from_bytes(packet[6:8], "big") & 0x1FFF
    elif kind == b"\x86\xdd" and len(packet) >= 40:
        protocol, source, target, payload, first = packet[6], packet[8:24], packet[24:40], packet[40:], True
    elif kind == b"\x08\x06" and len(packet) >= 28:
        if packet[7] != 1:
            return None  # an answer is nobody's packet on its way: whoever asked caused it
        return f"arp {ipaddress.ip_address(packet[14:18])} > {ipaddress.ip_address(packet[24:28])} {packet[7]}"
    else:
        return None
    name = _NAMES.get(protocol, str(protocol))
    where = "-"
    if first and name in ("tcp", "udp") and len(payload) >= 4:
        where = str(struct.unpack("!H", payload[2:4])[0])
    elif first and payload:
        where = str(payload[0])
    return f"{name} {ipaddress.ip_address(source)} > {ipaddress.ip_address(target)} {where}"


def main(interfaces: list[str]) -> None:
    """Listen until ended."""
    listeners = {}
    for interface in interfaces:
        listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        listener.bind((interface, _ETH_P_ALL))
        listeners[listener] = interface
    _say("listening")
    while True:
        for listener in select.select(list(listeners), [], [])[0]:
            frame, address = listener.recvfrom(_READ_BYTES)
            text = describe(frame)
            if text is not None and address[2] != _PACKET_OUTGOING:
                _say(f"{listeners[listener]} {text}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
