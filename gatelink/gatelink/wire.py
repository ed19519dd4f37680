"""The constants of the wire: protocol names (ALPN), ports and limits. ``docs/protocol.md`` explains them.

The version of each protocol is in its ALPN name: a party that cannot speak it is refused by TLS itself.
"""

from typing import Final

ALPN_HELLO: Final = "gatelink-hello/1"
"""Nobody authenticated: the GM says who it is and hands out its succession statements."""
ALPN_ENROL: Final = "gatelink-enrol/1"
"""No client certificate yet: proves a claim or an invitation, gets a certificate."""
ALPN_LOGIN: Final = "gatelink-login/1"
"""No client certificate: a name and a password, and a second factor, become a short-lived certificate."""
ALPN_CONTROL: Final = "gatelink-control/1"
"""Mutual TLS: the control connection of an SM or an LM."""
ALPN_RELAY: Final = "gatelink-relay/1"
"""Mutual TLS: presents a ticket, then ends TLS and becomes one leg of a session."""
ALPN_TUNNEL: Final = "gatelink-tunnel/1"
"""End to end between LM and SM, over the joined legs."""

ALPN_APPLIANCE_PREFIX: Final = "gatelink-"
ALPN_WITHOUT_CERTIFICATE: Final = frozenset({ALPN_HELLO, ALPN_ENROL, ALPN_LOGIN})
ALPN_WITH_CERTIFICATE: Final = frozenset({ALPN_CONTROL, ALPN_RELAY})

PORTS: Final = (11444, 443, 80)
"""The ports of the front door in the order in which an SM tries them."""

MAX_FRAME_BYTES: Final = 64 * 1024
"""Largest control frame, without its length. A security limit: bounds memory before and after login."""
MAX_HELLO_BYTES: Final = 16 * 1024
"""Largest ClientHello that the front door looks at, record headers included."""
HANDSHAKE_TIMEOUT_S: Final = 10.0
"""From accept to the end of the TLS handshake. A security limit."""
LOGIN_TIMEOUT_S: Final = 20.0
"""From the end of the handshake to a complete login or enrolment; Argon2 and a busy GM included."""
TICKET_LIFETIME_S: Final = 30.0
KEEPALIVE_S: Final = 25.0
"""Default distance of keepalives; NAT tables of cellular networks forget TCP after 30 s at worst."""
MISSED_KEEPALIVES: Final = 2
"""A peer that was silent for this many keepalive distances is dead."""
SECRET_BYTES: Final = 16
NONCE_BYTES: Final = 32
