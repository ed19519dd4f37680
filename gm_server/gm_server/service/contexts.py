"""Loads the certificates from the data directory into the TLS contexts of the front door."""

from __future__ import annotations

import ssl

from gatelink.tls import NO_CHECK_TIME, gm_mutual_context, gm_open_context
from gatelink.wire import ALPN_CONTROL, ALPN_ENROL, ALPN_HELLO, ALPN_LOGIN, ALPN_RELAY
from gm_server.certificates.bundle import load_into
from gm_server.directory import DataDirectory
from gm_server.enrolment.door import Authorities
from gm_server.frontdoor.door import Contexts

from .authority_names import name_authority


def load_contexts(directory: DataDirectory, authorities: Authorities) -> Contexts:
    """Return fresh contexts; raises GatelinkError if a file is missing or damaged."""
    identity = directory.appliance_identity()
    trusted = (authorities.devices.certificate, authorities.users.certificate)
    web = web_context(authorities.users.certificate)
    load_into(web, directory.web_path)
    return Contexts(
        identity=identity,
        without_certificate=gm_open_context(identity, (ALPN_ENROL, ALPN_HELLO, ALPN_LOGIN)),
        with_certificate=gm_mutual_context(identity, trusted, (ALPN_CONTROL, ALPN_RELAY)),
        web=web,
    )


def web_context(user_authority: bytes) -> ssl.SSLContext:
    """Return the browsers' side, without its certificate: it asks for one that the user authority (DER) signed.

    The request names the authority: a browser that has no certificate of it answers with none and shows its user
    nothing, whatever other certificates it has. See docs/decisions/0060-certificates-in-browsers.md.
    """
    web = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    web.minimum_version = ssl.TLSVersion.TLSv1_2
    web.set_alpn_protocols(["http/1.1"])
    web.verify_mode = ssl.CERT_OPTIONAL
    web.verify_flags |= ssl.VerifyFlags(NO_CHECK_TIME)
    web.load_verify_locations(cadata=user_authority)
    name_authority(web, user_authority)
    return web
