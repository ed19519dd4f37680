"""What GateManager, SiteManager and LinkManager must agree on.

Inner ring (bytes, states, limits; no I/O, time comes in as ``now``):
``frames`` and ``messages`` are the control protocol, ``hello`` reads a stranger's ClientHello, ``identity`` makes and
reads keys and certificates, ``pins`` remembers the GateManager and follows its succession, ``proofs`` proves a claim
secret over both keys, ``claims`` is the text a person hands over, ``keepalive`` and ``backoff`` decide when.

Outer ring (sockets, asyncio, the Linux kernel):
``tls`` makes the few TLS contexts, ``tls_io`` drives a non-blocking ``SSLSocket`` from asyncio, ``channel`` is a
control connection, ``link`` the half that dials (SM and LM), ``tunnel`` the data path.
"""

__version__ = "0.1.0"
