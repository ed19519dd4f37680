"""The few TLS contexts that exist. TLS 1.3 only; a party trusts exactly one certificate, never a chain or a date.

Which certificate that is was learnt before: the pinned one of the GateManager, or the other end's as the GateManager
told it. It is loaded as the only trust anchor, so that OpenSSL refuses any other during the handshake, before a client
certificate or a byte of ours is sent. Dates are not judged (``NO_CHECK_TIME``): a gateway may have no clock, and the
exact certificate is stronger than its dates. See docs/decisions/0003-pinned-certificate-as-trust-anchor.md.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from typing import Final

from .certificates import Credentials, key_sha256
from .exceptions import InputError, ProtocolError
from .pins import Pin
from .wire import ALPN_TUNNEL

NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAGNO_CHECK_TIME of OpenSSL; the ssl module has no name for it."""


class KeptCredentials:
    """What a file holds of a party: key and certificate (PEM), opened by OpenSSL alone.

    Raises InputError if they are damaged, do not belong together or are not P-256.
    """

    def __init__(self, pem: bytes) -> None:
        self.pem = pem
        try:
            text = pem.decode("ascii")
            block = text[text.index(ssl.PEM_HEADER) : text.index(ssl.PEM_FOOTER) + len(ssl.PEM_FOOTER)]
            self.certificate = ssl.PEM_cert_to_DER_cert(block)
            key_sha256(self.certificate)
            load_identity(_context(ssl.PROTOCOL_TLS_CLIENT), self)
        except (ValueError, ssl.SSLError, ProtocolError):
            raise InputError(
                "expected a private key (P-256) and its certificate (PEM), the file holds something else"
            ) from None


def first_contact_context(protocol: str) -> ssl.SSLContext:
    """For a party that does not know the GM yet, or asks who it is: no check, and nothing of ours is presented."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    return context


def pinned_context(pin: Pin, protocol: str, identity: Credentials | None) -> ssl.SSLContext:
    """For a party that knows the GM; ``identity`` is presented only to the holder of the pinned key."""
    context = _only_trust(_context(ssl.PROTOCOL_TLS_CLIENT), pin.certificate)
    context.set_alpn_protocols([protocol])
    if identity is not None:
        load_identity(context, identity)
    return context


def gm_open_context(identity: Credentials, protocols: Sequence[str]) -> ssl.SSLContext:
    """The GM's appliance side towards those that have no certificate yet (hello, enrolment)."""
    context = _server_context(protocols)
    load_identity(context, identity)
    return context


def gm_mutual_context(identity: Credentials, authorities: Sequence[bytes], protocols: Sequence[str]) -> ssl.SSLContext:
    """The GM's appliance side towards those with a certificate of one of its ``authorities`` (DER)."""
    context = _server_context(protocols)
    context.verify_mode = ssl.CERT_REQUIRED
    for authority in authorities:
        context.load_verify_locations(cadata=authority)
    load_identity(context, identity)
    return context


def tunnel_client_context(identity: Credentials, peer_certificate: bytes) -> ssl.SSLContext:
    """The LM's end of a session."""
    context = _only_trust(_context(ssl.PROTOCOL_TLS_CLIENT), peer_certificate)
    context.set_alpn_protocols([ALPN_TUNNEL])
    load_identity(context, identity)
    return context


def tunnel_server_context(identity: Credentials, peer_certificate: bytes) -> ssl.SSLContext:
    """The SM's end of a session."""
    context = _only_trust(_server_context([ALPN_TUNNEL]), peer_certificate)
    load_identity(context, identity)
    return context


def load_identity(context: ssl.SSLContext, identity: Credentials) -> None:
    """Give a context its certificate and key.

    The ssl module reads keys from files only: this one is anonymous memory of this process, gone with the call.
    """
    descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, identity.pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _context(protocol: ssl._SSLMethod) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def _server_context(protocols: Sequence[str]) -> ssl.SSLContext:
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0
    """No resumption: each connection proves its certificate, and the GM holds less of each."""
    context.set_alpn_protocols(list(protocols))
    return context


def _only_trust(context: ssl.SSLContext, certificate: bytes) -> ssl.SSLContext:
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(NO_CHECK_TIME)
    context.load_verify_locations(cadata=certificate)
    return context
