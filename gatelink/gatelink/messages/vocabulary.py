"""Which messages may be said by whom on which kind of connection. Parses what strangers send."""

from __future__ import annotations

from typing import Any, Generic, TypeAlias, TypeVar, get_args

import msgspec

from gatelink.exceptions import MessageError, UnknownMessage

from .appliance import (
    ApplianceEvent,
    ApplianceLogin,
    ApplianceStatus,
    DeviceStates,
    EventsKept,
    FirmwareChunk,
    FirmwareFetch,
    FirmwareOffer,
    FirmwareProgress,
    Scan,
    ScanResult,
    WatchDevices,
)
from .basics import Done, GmHello, Ping, Pong, Refusal, Welcome
from .enrolment import Enrolled, EnrolProof, EnrolRequest, EnrolStart, EnrolWaiting, PasswordLogin
from .login import LoginAnswer, LoginChallenge, LoginResend
from .session import (
    ChangeSession,
    Connect,
    Connected,
    Disconnect,
    EndSession,
    OpenSession,
    RelayHello,
    RelayJoined,
    SessionEnded,
    SessionRefused,
)
from .shapes import Identifier, Message, RequestId
from .user import (
    AccessDecided,
    AccessRequested,
    ApplianceList,
    ListAppliances,
    Relays,
    RelayStates,
    RequestAccess,
    TreeChanged,
    UserLogin,
    WatchRelays,
    WatchTree,
)

M = TypeVar("M", bound=Message)


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
LoginToGm: TypeAlias = PasswordLogin | LoginAnswer | LoginResend | Ping | Pong
LoginToParty: TypeAlias = LoginChallenge | Enrolled | Refusal | Ping | Pong
ApplianceToGm: TypeAlias = (
    ApplianceLogin
    | ApplianceStatus
    | DeviceStates
    | ScanResult
    | ApplianceEvent
    | FirmwareFetch
    | FirmwareProgress
    | SessionRefused
    | SessionEnded
    | Ping
    | Pong
)
UserToGm: TypeAlias = (
    UserLogin
    | LoginAnswer
    | LoginResend
    | ListAppliances
    | WatchTree
    | WatchRelays
    | RelayStates
    | RequestAccess
    | Connect
    | Disconnect
    | SessionEnded
    | Ping
    | Pong
)
GmToAppliance: TypeAlias = (
    Welcome
    | WatchDevices
    | Scan
    | EventsKept
    | FirmwareOffer
    | FirmwareChunk
    | OpenSession
    | ChangeSession
    | EndSession
    | Refusal
    | Ping
    | Pong
)
GmToUser: TypeAlias = (
    Welcome
    | LoginChallenge
    | ApplianceList
    | TreeChanged
    | Relays
    | AccessRequested
    | AccessDecided
    | Connected
    | Done
    | ChangeSession
    | EndSession
    | Refusal
    | Ping
    | Pong
)
RelayToGm: TypeAlias = RelayHello
RelayToParty: TypeAlias = RelayJoined | Refusal

HELLO_TO_PARTY: Vocabulary[HelloToParty] = Vocabulary(HelloToParty)
ENROL_TO_GM: Vocabulary[EnrolToGm] = Vocabulary(EnrolToGm)
ENROL_TO_PARTY: Vocabulary[EnrolToParty] = Vocabulary(EnrolToParty)
LOGIN_TO_GM: Vocabulary[LoginToGm] = Vocabulary(LoginToGm)
LOGIN_TO_PARTY: Vocabulary[LoginToParty] = Vocabulary(LoginToParty)
APPLIANCE_TO_GM: Vocabulary[ApplianceToGm] = Vocabulary(ApplianceToGm)
USER_TO_GM: Vocabulary[UserToGm] = Vocabulary(UserToGm)
GM_TO_APPLIANCE: Vocabulary[GmToAppliance] = Vocabulary(GmToAppliance)
GM_TO_USER: Vocabulary[GmToUser] = Vocabulary(GmToUser)
RELAY_TO_GM: Vocabulary[RelayToGm] = Vocabulary(RelayToGm)
RELAY_TO_PARTY: Vocabulary[RelayToParty] = Vocabulary(RelayToParty)
