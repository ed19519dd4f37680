"""Every message of the control protocol, and what may be said by whom. Parses what strangers send.

A message is a MessagePack map; its ``type`` is the struct's tag. Unknown fields are ignored, so that a newer peer can
say more; an unknown type is answered with a ``Refusal``. Every string, list and number is bounded by its type here, and
the whole by ``wire.MAX_FRAME_BYTES``. ``docs/protocol.md`` tells the flow; golden frames are under ``tests/vectors/``.

    hello    GM -> anybody                GmHello, then the GM closes
    enrol    SM/LM -> GM                  EnrolStart, EnrolRequest
             GM -> SM/LM                  EnrolProof, then Enrolled | EnrolWaiting | Refusal
    control  SM -> GM                     ApplianceLogin, SessionRefused, SessionEnded, Ping, Pong
             LM -> GM                     UserLogin, ListAppliances, Connect, Disconnect, SessionEnded, Ping, Pong
             GM -> SM                     Welcome, OpenSession, ChangeSession, EndSession, Refusal, Ping, Pong
             GM -> LM                     Welcome, ApplianceList, Connected, Done, ChangeSession, EndSession, Refusal,
                                          Ping, Pong
    relay    SM/LM -> GM                  RelayHello
             GM -> SM/LM                  RelayJoined | Refusal, then both sides end TLS
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeAlias, TypeVar, get_args

import msgspec
from msgspec import Meta

from .exceptions import MessageError, UnknownMessage
from .wire import NONCE_BYTES

Identifier: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128)]
Text: TypeAlias = Annotated[str, Meta(max_length=512)]
Nonce: TypeAlias = Annotated[bytes, Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
Digest: TypeAlias = Annotated[bytes, Meta(min_length=32, max_length=32)]
Der: TypeAlias = Annotated[bytes, Meta(min_length=1, max_length=4096)]
Password: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]
Address: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255)]
Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]
Ticket: TypeAlias = Annotated[bytes, Meta(min_length=32, max_length=32)]
RequestId: TypeAlias = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Counter: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=4e10)]


def _tag(class_name: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in class_name).lstrip("-")


class _Message(msgspec.Struct, frozen=True, tag_field="type", tag=_tag, kw_only=True):
    """Base of all messages: the tag is the class name in lower case with hyphens."""


# What messages are made of


class Service(msgspec.Struct, frozen=True):
    """A protocol and its ports that a grant may open. ``icmp`` means echo request; its ports are 0."""

    name: Name
    protocol: Literal["tcp", "udp", "icmp"]
    first_port: Port = 0
    last_port: Port = 0


class DeviceAccess(msgspec.Struct, frozen=True):
    """A device behind an SM with the services that may be reached there."""

    device_id: Identifier
    name: Name
    address: Annotated[str, Meta(max_length=15)]
    """IPv4 address in the plant network, dotted decimal."""
    services: Annotated[tuple[Service, ...], Meta(max_length=64)]


Devices: TypeAlias = Annotated[tuple[DeviceAccess, ...], Meta(max_length=512)]


class TunnelAddresses(msgspec.Struct, frozen=True):
    """The two ends of a session's Ethernet segment: a /30 (``prefix_length``) that the GM chose."""

    pc: Annotated[str, Meta(max_length=15)]
    gateway: Annotated[str, Meta(max_length=15)]
    prefix_length: Annotated[int, Meta(ge=8, le=30)] = 30


class Route(msgspec.Struct, frozen=True):
    """How a party reached the GM."""

    address: Address
    port: Port
    proxy: bool = False


class PinAlarm(msgspec.Struct, frozen=True):
    """A certificate that was not the pinned one, met on the way to the GM."""

    route: Route
    serial: Annotated[str, Meta(max_length=64)]
    key_sha256: Digest
    seen_at: Seconds
    """Unix time by the clock of who reports."""


PinAlarms: TypeAlias = Annotated[tuple[PinAlarm, ...], Meta(max_length=16)]


class ApplianceView(msgspec.Struct, frozen=True):
    """An appliance as a user may see it."""

    appliance_id: Identifier
    domain: Annotated[str, Meta(max_length=512)]
    """Path of domain names, ``/`` between them."""
    name: Name
    online: bool
    devices: Devices
    """Only what the user may reach now."""


class SuccessionStatement(msgspec.Struct, frozen=True):
    """'The holder of the old key says that this certificate follows': checked by ``pins.follow``."""

    old_key_sha256: Digest
    new_certificate: Der
    signature: Annotated[bytes, Meta(max_length=128)]
    """ECDSA P-256 over SHA-256, DER, by the old key."""


# Anybody on any connection


class Refusal(_Message, frozen=True):
    """A no. ``request_id`` is set when it answers a request; without one the connection ends."""

    code: Identifier
    text: Text
    request_id: RequestId | None = None


class Ping(_Message, frozen=True):
    """Keepalive; answered with a Pong of the same token."""

    token: RequestId


class Pong(_Message, frozen=True):
    """The answer to a Ping."""

    token: RequestId


# hello


class GmHello(_Message, frozen=True):
    """Who the GM says it is, its time, and how its certificate came to follow earlier ones (oldest first)."""

    name: Name
    unix_time_s: Seconds
    statements: Annotated[tuple[SuccessionStatement, ...], Meta(max_length=32)] = ()


# enrol


class EnrolStart(_Message, frozen=True):
    """Opens an enrolment. An empty ``claim_id`` asks for a place among the waiting appliances (first-use trust)."""

    kind: Literal["appliance", "user"]
    claim_id: Annotated[str, Meta(max_length=64)]
    nonce: Nonce
    key_sha256: Digest
    """Of the public key that the CSR will hold: part of both proofs."""


class EnrolProof(_Message, frozen=True):
    """The GM's half of the mutual proof; without a claim ``proof`` is random and means nothing."""

    nonce: Nonce
    proof: Digest


class EnrolRequest(_Message, frozen=True):
    """The party's half of the proof and its certificate request. The name in the CSR is ignored."""

    csr: Der
    proof: Digest
    software: Text = ""
    password: Password | None = None
    """Kind ``user`` only: the password that the invited person chose."""


class Enrolled(_Message, frozen=True):
    """The certificate, and the names that the GM gave."""

    certificate: Der
    peer_id: Identifier
    name: Name
    domain: Annotated[str, Meta(max_length=512)]


class EnrolWaiting(_Message, frozen=True):
    """Waits among the unclaimed appliances until an administrator adopts it; ask again after ``retry_s``."""

    waiting_id: Identifier
    retry_s: Seconds


# control: SM -> GM


class ApplianceLogin(_Message, frozen=True):
    """The first message of an SM. Who it is follows from its certificate alone."""

    software: Text
    run_id: Identifier
    """Random for each run of the daemon: with another one, no session of the earlier run can still live."""
    route: Route
    pin_alarms: PinAlarms = ()


class SessionRefused(_Message, frozen=True):
    """The SM cannot open a session."""

    session_id: Identifier
    code: Identifier
    text: Text


class SessionEnded(_Message, frozen=True):
    """A session is over at this end. Bytes are Ethernet frames' as this end counted them."""

    session_id: Identifier
    reason: Text
    bytes_sent: Counter = 0
    bytes_received: Counter = 0


# control: LM -> GM


class UserLogin(_Message, frozen=True):
    """The first message of an LM. Who it is follows from its certificate; the password proves the person."""

    software: Text
    route: Route
    password: Password
    pin_alarms: PinAlarms = ()


class ListAppliances(_Message, frozen=True):
    """Asks for the appliances that the user may see, from behind ``after`` (an ``appliance_id``) on."""

    request_id: RequestId
    after: Annotated[str, Meta(max_length=64)] = ""


class Connect(_Message, frozen=True):
    """Asks for a session. No ``device_ids`` means every granted device of the appliance."""

    request_id: RequestId
    appliance_id: Identifier
    device_ids: Annotated[tuple[Identifier, ...], Meta(max_length=512)] = ()
    mode: Literal["routed"] = "routed"
    reason: Text = ""
    resume_session_id: Identifier | None = None
    """A session of this user with this appliance that broke: it is ended and its addresses are kept."""


class Disconnect(_Message, frozen=True):
    """Asks for the end of a session of one's own."""

    request_id: RequestId
    session_id: Identifier


# control: GM -> SM and LM


class Welcome(_Message, frozen=True):
    """The login is good."""

    gm_name: Name
    peer_id: Identifier
    name: Name
    domain: Annotated[str, Meta(max_length=512)]
    unix_time_s: Seconds
    keepalive_s: Annotated[float, Meta(ge=1, le=3600)]
    gm_addresses: Annotated[tuple[Address, ...], Meta(max_length=16)] = ()
    """Under which the GM can be reached at present; kept by the party beside what it was told first."""


class OpenSession(_Message, frozen=True):
    """Tells the SM to open its leg of a session and what to allow in it."""

    session_id: Identifier
    ticket: Ticket
    peer_certificate: Der
    """The LM's: the only one to accept in the end-to-end TLS."""
    user: Name
    reason: Text
    tunnel: TunnelAddresses
    devices: Devices
    mode: Literal["routed"] = "routed"
    ends_at: Seconds | None = None
    """Unix time by the GM's clock."""


class ChangeSession(_Message, frozen=True):
    """The grants of a running session changed: the full new state."""

    session_id: Identifier
    devices: Devices
    ends_at: Seconds | None = None


class EndSession(_Message, frozen=True):
    """End this session at once. Idempotent."""

    session_id: Identifier
    code: Identifier
    reason: Text


class ApplianceList(_Message, frozen=True):
    """One page of the answer to ListAppliances; ``more`` says to ask again behind the last one."""

    request_id: RequestId
    appliances: Annotated[tuple[ApplianceView, ...], Meta(max_length=512)]
    more: bool


class Connected(_Message, frozen=True):
    """The answer to Connect: what the LM needs to open its leg and to set its routes."""

    request_id: RequestId
    session_id: Identifier
    ticket: Ticket
    peer_certificate: Der
    """The SM's: the only one to accept in the end-to-end TLS."""
    appliance_id: Identifier
    name: Name
    domain: Annotated[str, Meta(max_length=512)]
    tunnel: TunnelAddresses
    devices: Devices
    mode: Literal["routed"] = "routed"
    ends_at: Seconds | None = None


class Done(_Message, frozen=True):
    """The answer to a request that has nothing to return."""

    request_id: RequestId


# relay


class RelayHello(_Message, frozen=True):
    """Presents the single-use ticket of a session."""

    ticket: Ticket


class RelayJoined(_Message, frozen=True):
    """Both legs are here: end TLS now (close_notify), then speak end to end."""


Message: TypeAlias = _Message
M = TypeVar("M", bound=_Message)


class _Envelope(msgspec.Struct):
    """The least that is needed to answer a message of an unknown type."""

    type: Identifier
    request_id: RequestId | None = None


_envelope_decoder = msgspec.msgpack.Decoder(_Envelope)


class Vocabulary(Generic[M]):
    """The messages that one party may say on one kind of connection."""

    def __init__(self, union: Any) -> None:
        self._decoder: msgspec.msgpack.Decoder[M] = msgspec.msgpack.Decoder(union)
        self._known = {kind.__struct_config__.tag for kind in get_args(union) or (union,)}

    def decode(self, payload: bytes) -> M:
        """Return the message in a frame's payload.

        Raises UnknownMessage (answer it, go on) for a type that is not of this vocabulary, MessageError (end the
        connection) when it is no MessagePack or a field is missing, of the wrong kind or out of its bounds. The texts
        name the field, never its content.
        """
        try:
            return self._decoder.decode(payload)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            self._raise_if_unknown(payload)
            # "Invalid value" quotes what a stranger wrote, all other texts name fields and kinds only.
            what = "its type is not allowed" if str(error).startswith("Invalid value") else error
            raise MessageError(f"not a message that is allowed here: {what}") from None

    def _raise_if_unknown(self, payload: bytes) -> None:
        try:
            envelope = _envelope_decoder.decode(payload)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return
        if envelope.type not in self._known:
            raise UnknownMessage("the message's type is not known here", envelope.request_id)


_encoder = msgspec.msgpack.Encoder()


def encode(message: Message) -> bytes:
    """Return the payload of a message (no frame header)."""
    return _encoder.encode(message)


HelloToParty: TypeAlias = GmHello | Refusal
EnrolToGm: TypeAlias = EnrolStart | EnrolRequest
EnrolToParty: TypeAlias = EnrolProof | Enrolled | EnrolWaiting | Refusal
ApplianceToGm: TypeAlias = ApplianceLogin | SessionRefused | SessionEnded | Ping | Pong
UserToGm: TypeAlias = UserLogin | ListAppliances | Connect | Disconnect | SessionEnded | Ping | Pong
GmToAppliance: TypeAlias = Welcome | OpenSession | ChangeSession | EndSession | Refusal | Ping | Pong
GmToUser: TypeAlias = Welcome | ApplianceList | Connected | Done | ChangeSession | EndSession | Refusal | Ping | Pong
RelayToGm: TypeAlias = RelayHello
RelayToParty: TypeAlias = RelayJoined | Refusal

HELLO_TO_PARTY: Vocabulary[HelloToParty] = Vocabulary(HelloToParty)
ENROL_TO_GM: Vocabulary[EnrolToGm] = Vocabulary(EnrolToGm)
ENROL_TO_PARTY: Vocabulary[EnrolToParty] = Vocabulary(EnrolToParty)
APPLIANCE_TO_GM: Vocabulary[ApplianceToGm] = Vocabulary(ApplianceToGm)
USER_TO_GM: Vocabulary[UserToGm] = Vocabulary(UserToGm)
GM_TO_APPLIANCE: Vocabulary[GmToAppliance] = Vocabulary(GmToAppliance)
GM_TO_USER: Vocabulary[GmToUser] = Vocabulary(GmToUser)
RELAY_TO_GM: Vocabulary[RelayToGm] = Vocabulary(RelayToGm)
RELAY_TO_PARTY: Vocabulary[RelayToParty] = Vocabulary(RelayToParty)
