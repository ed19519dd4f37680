"""Every error of the library.

GatelinkError
├── ProtocolError          the other side broke the protocol: the connection ends
│   ├── FrameError         a frame is too long or malformed
│   ├── MessageError       a frame holds no message that is allowed here
│   ├── UnknownMessage     its type is not known here: answered, and the connection goes on
│   └── HelloError         the first bytes are no acceptable TLS ClientHello
├── TrustError             somebody is not who he should be
│   ├── PinMismatch        the GateManager's certificate is not the pinned one
│   ├── ProofError         the secret of the claim or invitation was not proved
│   └── PeerChanged        a SiteManager's key is not the one remembered
├── Refused                the other side said no; carries its code and text
├── LinkError              a connection could not be made or was lost
├── TapError               the TAP adapter could not be opened or used
└── InputError             a person or a file gave something unusable

Messages name what was seen, what was expected and what to do next; they hold no secret.
"""

from __future__ import annotations


class GatelinkError(Exception):
    """Base of all errors that Gatelink raises on purpose."""


class ProtocolError(GatelinkError):
    """The other side broke the protocol."""


class FrameError(ProtocolError):
    """A frame is too long or malformed."""


class MessageError(ProtocolError):
    """A frame holds no message that is allowed here."""


class UnknownMessage(ProtocolError):
    """A message's type is not known here; ``request_id`` as far as it had one."""

    def __init__(self, text: str, request_id: int | None) -> None:
        super().__init__(text)
        self.request_id = request_id


class HelloError(ProtocolError):
    """The first bytes of a connection are no acceptable TLS ClientHello."""


class TrustError(GatelinkError):
    """Somebody is not who he should be."""


class PinMismatch(TrustError):
    """The GateManager's certificate is not the pinned one; ``presented`` (DER) is what came instead."""

    def __init__(self, text: str, presented: bytes) -> None:
        super().__init__(text)
        self.presented = presented


class ProofError(TrustError):
    """The other side did not prove the secret of the claim or invitation."""


class PeerChanged(TrustError):
    """A SiteManager presents another key than the one remembered."""


class Refused(GatelinkError):
    """The other side said no: ``code`` is for programs, the text for people."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class LinkError(GatelinkError):
    """A connection could not be made or was lost."""


class TapError(GatelinkError):
    """The TAP adapter could not be opened or used."""


class InputError(GatelinkError):
    """A person or a file gave something unusable."""
