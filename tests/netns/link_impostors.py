"""A man in the middle who wants to pass for the GateManager: his certificates, and what he got from whom.

He relays what he can to the real GateManager, asks every client for its certificate, and tells all that he hears.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from gatelink.frames import FrameReader, encode_frame
from gatelink.identity import Identity, from_pem, load_certificate, new_key, self_signed, to_pem
from gatelink.messages import GmHello, encode
from gatelink.pins import describe, make_statement
from lab import Conversation, MitmRelay, wait_until
from lab.products import GateManager, System


def real_certificate(gm: GateManager) -> bytes:
    """The GateManager's appliance certificate (DER)."""
    return from_pem((gm.data / "appliance.pem").read_bytes()).certificate


def other() -> Identity:
    """A certificate of somebody else."""
    return self_signed("acme", datetime.datetime.now(datetime.UTC), 3650)


def twin(certificate: bytes) -> Identity:
    """A certificate that looks exactly like this one, serial and all: only the key is another."""
    real = load_certificate(certificate)
    key = new_key()
    builder = x509.CertificateBuilder(
        real.issuer,
        real.subject,
        key.public_key(),
        real.serial_number,
        real.not_valid_before_utc,
        real.not_valid_after_utc,
    )
    for extension in real.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    made = builder.sign(key, hashes.SHA256())
    return Identity(made.public_bytes(serialization.Encoding.DER), key)


def hello() -> bytes:
    """What the impostor says as a GateManager's hello."""
    return encode_frame(encode(GmHello(name="acme", unix_time_s=0)))


def forged_succession(real: bytes, impostor: Identity) -> bytes:
    """What the impostor says as a GateManager's hello: that his certificate follows the real one, signed by himself."""
    claimed = make_statement(Identity(real, impostor.key), impostor.certificate)
    own = make_statement(impostor, impostor.certificate)
    return encode_frame(encode(GmHello(name="acme", unix_time_s=0, statements=(claimed, own))))


class Impostor:
    """`with Impostor(system, "factory", identity) as impostor:` stands on that firewall while inside."""

    def __init__(
        self, system: System, firewall: str, identity: Identity, *, relays: bool = True, greeting: bytes = b""
    ) -> None:
        directory = system.lab.run_directory
        self.identity = identity
        pem = directory / f"impostor-{firewall}.pem"
        pem.write_bytes(to_pem(identity))
        authorities = directory / "authorities.pem"
        authorities.write_text(
            "".join(_certificate_in(system.gm.data / name) for name in ("device_ca.pem", "user_ca.pem"))
        )
        self.relay = MitmRelay(
            system.lab, firewall, pem, pem, forward=relays, authorities=authorities, greeting=greeting
        )

    def __enter__(self) -> Impostor:
        self.relay.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.relay.__exit__(*error)

    def __str__(self) -> str:
        return describe(self.identity.certificate)

    @property
    def conversations(self) -> list[Conversation]:
        """What every connection so far came to."""
        return self.relay.conversations()

    @property
    def heard(self) -> bytes:
        """Every byte that a client said to him."""
        return b"".join(conversation.received for conversation in self.conversations)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Every message that a client sent to him."""
        return [message for conversation in self.conversations for message in _messages(conversation.received)]

    @property
    def protocols(self) -> set[str]:
        """What clients wanted to speak with him."""
        return {name for conversation in self.conversations for name in conversation.offered}

    @property
    def agreed(self) -> set[str | None]:
        """What clients did speak with him, behind a finished handshake."""
        return {conversation.alpn for conversation in self.conversations if conversation.handshake_done}

    @property
    def certificates(self) -> list[bytes]:
        """The certificates that clients showed to him."""
        return [conversation.certificate for conversation in self.conversations if conversation.certificate]

    def assert_learnt_nothing(self, secrets: Mapping[str, bytes], *, but: frozenset[str] = frozenset()) -> None:
        """Assert that he was met, saw no certificate, heard no message but those of these types, and no secret."""
        wait_until(self._has_heard_all, 10, "everybody to leave the impostor")
        assert self.certificates == []
        assert {str(message["type"]) for message in self.messages} == but
        heard = self.heard
        assert [name for name, secret in secrets.items() if secret in heard] == []

    def _has_heard_all(self) -> bool:
        conversations = self.conversations
        return bool(conversations) and all(conversation.ended is not None for conversation in conversations)


def _messages(received: bytes) -> list[dict[str, Any]]:
    return [msgspec.msgpack.decode(payload) for payload in FrameReader().receive_data(received)]


def _certificate_in(path: Path) -> str:
    """The certificate in a file that holds a key as well."""
    text = path.read_text()
    return text[text.index("-----BEGIN CERTIFICATE") :]
