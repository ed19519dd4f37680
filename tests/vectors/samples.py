"""One sample of every message of the control protocol; its golden bytes are ``control/<type>.bin``.

A sample that is changed or removed here changes the protocol: the old file stays, under its name with ``.v1``.
``python tests/vectors/samples.py`` writes the files that are missing, and touches no other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gatelink import messages
from gatelink.frames import encode_frame

FOLDER = Path(__file__).parent / "control"

_SERVICE = messages.Service("modbus", "tcp", 502, 502)
_DEVICE = messages.DeviceAccess("d-1", "plc1", "192.168.50.10", (_SERVICE, messages.Service("ping", "icmp")))
_SERIAL = messages.DeviceAccess(
    "d-2",
    "drive",
    "",
    (_SERVICE,),
    virtual_address="100.96.0.2",
    serial_port="rs485-1",
    line=messages.LineSettings(19200, 8, "E", 1),
)
_LOGGER = messages.DeviceAccess(
    "d-3", "logger", "192.168.50.12", (), pushes=(messages.Push("rly-1", port=1883, pc_port=61000),)
)
_DUTY = messages.RelayDuty("rly-1", "mqtt", "push", "sm-1", "acme/line3/press", "d-3", "logger", 1883, 61000)
_RELAYED = messages.RelayState("rly-1", "listening", "to 127.0.0.1:1883", 1, 2, 0, 4096, 2**40)
_STATE = messages.DeviceState("d-1", reachable=True, checked_at=1795000000.0, text="answered in 2 ms")
_TUNNEL = messages.TunnelAddresses("198.18.0.2", "198.18.0.1")
_ROUTE = messages.Route("gm.example", 11444, proxy=True)
_ALARM = messages.PinAlarm(_ROUTE, "9F3A-11C2-77B0-4E21-A0C4", b"\x01" * 32, 1795000000.0)
_STATEMENT = messages.SuccessionStatement(b"\x02" * 32, b"new certificate", b"signature")

SAMPLES: dict[str, messages.Message] = {
    "refusal": messages.Refusal(code="not-granted", text="you have no access", request_id=7),
    "ping": messages.Ping(token=1),
    "pong": messages.Pong(token=4294967295),
    "gm-hello": messages.GmHello(name="acme", unix_time_s=1795000000.5, statements=(_STATEMENT,)),
    "enrol-start": messages.EnrolStart(kind="appliance", claim_id="c-1", nonce=b"\x03" * 32, key_sha256=b"\x04" * 32),
    "enrol-proof": messages.EnrolProof(nonce=b"\x05" * 32, proof=b"\x06" * 32),
    "enrol-request": messages.EnrolRequest(csr=b"csr", proof=b"\x07" * 32, software="lm 0.1", password="correct horse"),
    "enrolled": messages.Enrolled(certificate=b"certificate", peer_id="sm-1", name="press", domain="acme/line3"),
    "enrol-waiting": messages.EnrolWaiting(waiting_id="w-1", retry_s=10.0),
    "appliance-login": messages.ApplianceLogin(software="sm 0.1", run_id="r-1", route=_ROUTE, pin_alarms=(_ALARM,)),
    "session-refused": messages.SessionRefused(session_id="s-1", code="locked", text="locked at the machine"),
    "session-ended": messages.SessionEnded(session_id="s-1", reason="leg lost", bytes_sent=1, bytes_received=2**40),
    "user-login": messages.UserLogin(software="lm 0.1", route=_ROUTE, password="correct horse"),
    "list-appliances": messages.ListAppliances(request_id=1, after="sm-1"),
    "connect": messages.Connect(
        request_id=2, appliance_id="sm-1", device_ids=("d-1",), reason="service", resume_session_id="s-0"
    ),
    "disconnect": messages.Disconnect(request_id=3, session_id="s-1"),
    "welcome": messages.Welcome(
        gm_name="acme",
        peer_id="sm-1",
        name="press",
        domain="acme/line3",
        unix_time_s=1795000000.0,
        keepalive_s=25.0,
        gm_addresses=("gm.example", "203.0.113.10"),
    ),
    "open-session": messages.OpenSession(
        session_id="s-1",
        ticket=b"\x08" * 32,
        peer_certificate=b"certificate",
        user="ann",
        reason="service",
        tunnel=_TUNNEL,
        devices=(_DEVICE, _SERIAL),
        ends_at=1795003600.0,
    ),
    "change-session": messages.ChangeSession(session_id="s-1", devices=(_DEVICE, _LOGGER)),
    "end-session": messages.EndSession(session_id="s-1", code="grant-ended", reason="the grant ended"),
    "appliance-list": messages.ApplianceList(
        request_id=1,
        appliances=(messages.ApplianceView("sm-1", "acme/line3", "press", True, (_DEVICE,)),),
        more=False,
    ),
    "connected": messages.Connected(
        request_id=2,
        session_id="s-1",
        ticket=b"\x09" * 32,
        peer_certificate=b"certificate",
        appliance_id="sm-1",
        name="press",
        domain="acme/line3",
        tunnel=_TUNNEL,
        devices=(_DEVICE,),
    ),
    "done": messages.Done(request_id=3),
    "relay-hello": messages.RelayHello(ticket=b"\x0a" * 32),
    "relay-joined": messages.RelayJoined(),
    "password-login": messages.PasswordLogin(user="ann", password="correct horse", csr=b"csr", software="lm 0.2"),
    "login-challenge": messages.LoginChallenge(
        kinds=("sms", "totp"), text="sent to ...89", expires_s=300.0, resend_after_s=30.0, tries_left=5
    ),
    "login-answer": messages.LoginAnswer(kind="sms", code="123456"),
    "login-resend": messages.LoginResend(),
    "watch-tree": messages.WatchTree(request_id=5),
    "watch-relays": messages.WatchRelays(request_id=6),
    "relays": messages.Relays(relays=(_DUTY,)),
    "relay-states": messages.RelayStates(states=(_RELAYED,)),
    "tree-changed": messages.TreeChanged(),
    "request-access": messages.RequestAccess(
        request_id=6, appliance_id="sm-1", reason="drive fault", device_ids=("d-1",)
    ),
    "access-requested": messages.AccessRequested(request_id=6, access_id="q-1"),
    "access-decided": messages.AccessDecided(
        access_id="q-1", appliance_id="sm-1", name="press", state="approved", text="go ahead", valid_until=1795003600.0
    ),
    "appliance-status": messages.ApplianceStatus(
        hardware="Raspberry Pi 4",
        firmware="0.2.0",
        slot="A",
        uptime_s=60.0,
        locked=True,
        locked_by="key switch",
        uplinks=(messages.UplinkState("office", "ethernet", "eth0", "active", "192.0.2.2", "reaches the GateManager"),),
        serial_ports=(messages.SerialPortState("rs485-1", "FTDI FT232R", present=True, used_by="ann"),),
        modes=("routed", "bridged"),
    ),
    "device-states": messages.DeviceStates(states=(_STATE,)),
    "watch-devices": messages.WatchDevices(
        devices=(messages.DeviceWatch("d-1", "192.168.50.10", "tcp", 502),), period_s=30.0
    ),
    "scan": messages.Scan(request_id=8),
    "scan-result": messages.ScanResult(
        request_id=8,
        found=(
            messages.FoundDevice(
                address="192.168.50.10", mac="00:1b:1b:00:00:01", vendor="Siemens", protocols=("arp", "s7"), preset="s7"
            ),
        ),
        finished=True,
    ),
    "appliance-event": messages.ApplianceEvent(
        number=3, kind="locked", at=1795000000.0, text="locked by the key switch"
    ),
    "events-kept": messages.EventsKept(number=3),
    "firmware-offer": messages.FirmwareOffer(
        bundle_id="b-1", version="0.2.0", size_bytes=2**25, sha256=b"\x0b" * 32, during_sessions=True
    ),
    "firmware-fetch": messages.FirmwareFetch(request_id=9, bundle_id="b-1", offset=65536),
    "firmware-chunk": messages.FirmwareChunk(request_id=9, data=b"piece"),
    "firmware-progress": messages.FirmwareProgress(bundle_id="b-1", state="installing", percent=40),
}

VOCABULARIES: dict[str, messages.Vocabulary[Any]] = {
    "hello to party": messages.HELLO_TO_PARTY,
    "enrol to gm": messages.ENROL_TO_GM,
    "enrol to party": messages.ENROL_TO_PARTY,
    "login to gm": messages.LOGIN_TO_GM,
    "login to party": messages.LOGIN_TO_PARTY,
    "appliance to gm": messages.APPLIANCE_TO_GM,
    "user to gm": messages.USER_TO_GM,
    "gm to appliance": messages.GM_TO_APPLIANCE,
    "gm to user": messages.GM_TO_USER,
    "relay to gm": messages.RELAY_TO_GM,
    "relay to party": messages.RELAY_TO_PARTY,
}

WHO_MAY_SAY: dict[str, set[str]] = {
    "hello to party": {"gm-hello", "refusal"},
    "enrol to gm": {"enrol-start", "enrol-request"},
    "enrol to party": {"enrol-proof", "enrolled", "enrol-waiting", "refusal"},
    "login to gm": {
        "password-login",
        "login-answer",
        "login-resend",
        "ping",
        "pong",
    },
    "login to party": {
        "login-challenge",
        "enrolled",
        "refusal",
        "ping",
        "pong",
    },
    "appliance to gm": {
        "appliance-login",
        "appliance-status",
        "device-states",
        "scan-result",
        "appliance-event",
        "firmware-fetch",
        "firmware-progress",
        "session-refused",
        "session-ended",
        "ping",
        "pong",
    },
    "user to gm": {
        "user-login",
        "login-answer",
        "login-resend",
        "list-appliances",
        "watch-tree",
        "watch-relays",
        "relay-states",
        "request-access",
        "connect",
        "disconnect",
        "session-ended",
        "ping",
        "pong",
    },
    "gm to appliance": {
        "welcome",
        "watch-devices",
        "scan",
        "events-kept",
        "firmware-offer",
        "firmware-chunk",
        "open-session",
        "change-session",
        "end-session",
        "refusal",
        "ping",
        "pong",
    },
    "gm to user": {
        "welcome",
        "login-challenge",
        "appliance-list",
        "tree-changed",
        "relays",
        "access-requested",
        "access-decided",
        "connected",
        "done",
        "change-session",
        "end-session",
        "refusal",
        "ping",
        "pong",
    },
    "relay to gm": {"relay-hello"},
    "relay to party": {"relay-joined", "refusal"},
}


def golden(name: str) -> bytes:
    """Return the golden frame of a sample."""
    return (FOLDER / f"{name}.bin").read_bytes()


if __name__ == "__main__":
    for sample_name, sample in SAMPLES.items():
        path = FOLDER / f"{sample_name}.bin"
        if not path.exists():
            path.write_bytes(encode_frame(messages.encode(sample)))
