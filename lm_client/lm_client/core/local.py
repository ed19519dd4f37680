"""What the commands say to the agent and hear from it, over the agent's Unix socket. No I/O.

One request and one answer a connection. Both ends are the same user on the same PC and come from one installation: no
version; the bounds are against mistakes, strangers are kept out by the kernel.
"""

from __future__ import annotations

import struct
from typing import Final, Literal, TypeAlias

import msgspec

MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
"""A thousand appliances of 512 devices; far above what a GateManager shows one user."""

State = Literal["connecting", "up", "reconnecting", "ended"]


def _tag(class_name: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in class_name).lstrip("-")


class _Word(msgspec.Struct, frozen=True, tag_field="type", tag=_tag, kw_only=True):
    """Base of all: the tag is the class name in lower case with hyphens."""


# What is shown


class ServiceView(msgspec.Struct, frozen=True):
    """A protocol and ports that may be reached."""

    name: str
    protocol: str
    first_port: int
    last_port: int

    def __str__(self) -> str:
        return f"{self.name} (ping)" if self.protocol == "icmp" else f"{self.name} ({self.protocol}/{self.ports})"

    @property
    def ports(self) -> str:
        """The one port, or the first and the last; EtherTypes as they are written."""
        first, last = self.first_port, self.last_port
        if self.protocol == "ethernet":
            return f"0x{first:04x}" if first == last else f"0x{first:04x}-0x{last:04x}"
        return str(first) if first == last else f"{first}-{last}"


class DeviceView(msgspec.Struct, frozen=True):
    """A device behind an appliance."""

    device_id: str
    name: str
    address: str
    """In the plant; empty for a serial port."""
    services: tuple[ServiceView, ...]
    use: str = ""
    """The address to type on this PC while connected; empty if none leads there, ``why`` then says so."""
    hostname: str = ""
    """Leads to ``use`` while connected."""
    why: str = ""
    """Why ``use`` is not ``address``."""
    reachable: bool | None = None
    """As the SiteManager's last check found it; None if it never looked."""
    check_text: str = ""
    checked_at: float = 0
    serial_port: str = ""
    tty: str = ""
    """What to open for a serial port, while connected."""


class ApplianceView(msgspec.Struct, frozen=True):
    """An appliance and what the user may reach behind it."""

    appliance_id: str
    domain: str
    name: str
    online: bool
    devices: tuple[DeviceView, ...]
    requestable: tuple[DeviceView, ...] = ()
    """What an approver could open."""
    needs_reason: bool = False
    locked: bool = False
    """At the machine: nobody gets in from outside."""
    modes: tuple[str, ...] = ("routed",)
    connected_users: tuple[str, ...] = ()
    online_since: float | None = None


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """A session as it is now. Times are Unix times, bytes those of the TLS connection's content."""

    session_id: str
    appliance_id: str
    name: str
    domain: str
    state: State
    detail: str
    """Why it is reconnecting or ended."""
    interface: str
    devices: tuple[DeviceView, ...]
    since: float
    ends_at: float | None
    bytes_sent: int
    bytes_received: int
    rtt_s: float | None
    reconnects: int
    key_fingerprint: str
    mode: str = "routed"


class RelayView(msgspec.Struct, frozen=True, kw_only=True):
    """A permanent relay that this agent carries."""

    name: str
    direction: str
    appliance: str
    device: str
    port: int
    condition: str
    text: str
    connections: int
    bytes_to_device: int
    bytes_from_device: int


class AccessView(msgspec.Struct, frozen=True):
    """A request for access and what became of it."""

    access_id: str
    appliance_id: str
    name: str
    state: str
    """``waiting``, ``approved``, ``denied``, ``withdrawn``, ``over``."""
    text: str
    valid_until: float | None


class PinView(msgspec.Struct, frozen=True):
    """Whom the PC takes for its GateManager."""

    serial: str
    fingerprint: str
    how: str


# Requests


class GetStatus(_Word, frozen=True):
    """Asks for the agent's whole state."""


class GetAppliances(_Word, frozen=True):
    """Asks for all that the user may see: fresh from the GateManager, or as it was told last."""

    fresh: bool = True


class AskForAccess(_Word, frozen=True):
    """Asks the approvers for what a grant with approval would open; answered with Access."""

    target: str
    reason: str
    device_ids: tuple[str, ...] = ()
    duration_s: float = 4 * 3600.0


class ConnectTo(_Word, frozen=True):
    """Asks for a session; answered when frames flow."""

    target: str
    reason: str = ""
    insist: bool = False
    """On the devices' own addresses, where hosts of a network of this PC are hidden by them."""
    bridged: bool = False
    plant_address: str = ""
    """Of this PC in the plant's network, with its length or alone; bridged only."""


class DisconnectFrom(_Word, frozen=True):
    """Asks for the end of the sessions with ``target``; of all when it is None."""

    target: str | None


class GetKeys(_Word, frozen=True):
    """Asks which key is remembered of an appliance and which one it presented last."""

    target: str


class TrustKey(_Word, frozen=True):
    """The user compared the key and accepts it."""

    appliance_id: str
    key_sha256: bytes


class Logout(_Word, frozen=True):
    """Ends the agent and all it has."""


# To an agent that has just been started, over the socket that is its standard input


class Begin(_Word, frozen=True):
    """Who starts the agent says the password."""

    password: str

    def __repr__(self) -> str:
        """Never shows the password."""
        return "Begin(...)"


class GiveCode(_Word, frozen=True):
    """The second factor, as the person typed it."""

    kind: str
    code: str

    def __repr__(self) -> str:
        """Never shows the code."""
        return f"GiveCode({self.kind})"


class SendAgain(_Word, frozen=True):
    """Asks for another SMS."""


# Answers


class Failure(_Word, frozen=True):
    """A no. ``kind`` decides the command's exit status."""

    kind: Literal["input", "failed"]
    text: str


class Done(_Word, frozen=True):
    """Done; there is nothing to tell."""


class Challenge(_Word, frozen=True):
    """A second factor is asked for; followed by GiveCode or SendAgain."""

    kinds: tuple[str, ...]
    """Any of them will do: ``sms``, ``totp``, ``recovery``."""
    text: str
    expires_s: float
    resend_after_s: float
    tries_left: int


class LoggedIn(_Word, frozen=True):
    """The agent is up and the GateManager knows the user."""

    user: str
    gm_name: str
    way: str
    pin: PinView
    locked_now: bool
    """Whether this was the first contact: the certificate was taken on trust and is locked from now on."""


class Status(_Word, frozen=True):
    """The agent's whole state."""

    pid: int
    user: str
    domain: str
    gm_name: str
    connected: bool
    way: str
    """The way in use, or why there is none."""
    since: float
    rtt_s: float | None
    pin: PinView
    sessions: tuple[SessionView, ...]
    ended: tuple[SessionView, ...]
    """The last few sessions that are over, newest last."""
    revision: int = 0
    """Of the tree; another one says that ``GetAppliances`` answers something else now."""
    requests: tuple[AccessView, ...] = ()
    relays: tuple[RelayView, ...] = ()


class Appliances(_Word, frozen=True):
    """Everything that the user may see."""

    appliances: tuple[ApplianceView, ...]
    revision: int = 0


class Access(_Word, frozen=True):
    """The request waits for an approver."""

    access: AccessView


class ConnectedTo(_Word, frozen=True):
    """Frames flow."""

    session: SessionView
    already: bool
    key_is_new: bool
    warnings: tuple[str, ...]
    took_s: float


class Disconnected(_Word, frozen=True):
    """The names of the appliances whose sessions were ended."""

    names: tuple[str, ...]


class Keys(_Word, frozen=True):
    """SHA-256 of an appliance's keys: the remembered one, and another one if it presented another one since."""

    appliance_id: str
    name: str
    remembered: bytes | None
    offered: bytes | None


Request: TypeAlias = GetStatus | GetAppliances | AskForAccess | ConnectTo | DisconnectFrom | GetKeys | TrustKey | Logout
Beginning: TypeAlias = Begin | GiveCode | SendAgain
Answer: TypeAlias = (
    Failure | Done | Challenge | LoggedIn | Status | Appliances | Access | ConnectedTo | Disconnected | Keys
)

_requests: Final[msgspec.msgpack.Decoder[Request]] = msgspec.msgpack.Decoder(Request)
_answers: Final[msgspec.msgpack.Decoder[Answer]] = msgspec.msgpack.Decoder(Answer)
_beginnings: Final[msgspec.msgpack.Decoder[Beginning]] = msgspec.msgpack.Decoder(Beginning)
decode_request: Final = _requests.decode
decode_beginning: Final = _beginnings.decode
decode_answer: Final = _answers.decode
_encode: Final = msgspec.msgpack.Encoder().encode


def frame(word: _Word) -> bytes:
    """Return the frame of a request or answer."""
    payload = _encode(word)
    return struct.pack("!I", len(payload)) + payload
