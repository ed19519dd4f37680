"""Whatever a device of the plant answers, discovery makes an identity with bounded texts of it, or nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitemanager.core.discovery import Identity, arp, bacnet, ethernet_ip, lldp, mdns, merged, modbus_identity
from sitemanager.core.discovery import profinet_dcp as dcp
from sitemanager.core.discovery.opcua import OpcUaConversation
from sitemanager.core.discovery.s7 import S7Conversation

ADDRESS = "192.168.50.10"
FRAMES = {
    "arp": (arp.parse, bytes.fromhex("ffffffffffff001b1b000001 0806 0001 0800 06 04 0002 001b1b000001 c0a8320a")),
    "dcp": (dcp.parse, bytes.fromhex("001122334455001b1b000001 8892 feff 05 01 00000001 0000 0040 0202 000a 0000")),
    "lldp": (lldp.parse, bytes.fromhex("0180c200000e001b1b000001 88cc 0207 04 001b1b000001 0a05 6162636465")),
}
DATAGRAMS = {
    "ethernet-ip": (ethernet_ip.parse, bytes.fromhex("6300 2400 00000000 00000000") + bytes(12) + b"\1\0\x0c\0\x30\0"),
    "bacnet": (bacnet.parse, bytes.fromhex("810b0019 0120ffff00ff 1000 c402001267 2205c4 9103 2203e7")),
    "mdns": (mdns.parse, bytes.fromhex("0000 8400 0000 0001 0000 0000 03 706c63 05 6c6f63616c 00 0001 8001")),
    "modbus": (modbus_identity.parse, bytes.fromhex("676c 0000 0020 01 2b 0e 01 01 00 00 03 00 04 41636d65")),
}
noise = st.binary(max_size=200)


def looks_right(identity: Identity | None) -> None:
    """Whatever it is, it can be shown, sent, and merged."""
    if identity is None:
        return
    for text in (identity.vendor, identity.model, identity.name, identity.serial, identity.version):
        assert text.isprintable()
        assert len(text) <= 128
    (device,) = merged([identity])
    assert device.protocols == (identity.protocol,)


@pytest.mark.parametrize("name", FRAMES)
@given(data=st.data())
def test_frames_of_any_kind_are_survived(name: str, data: st.DataObject) -> None:
    parse, beginning = FRAMES[name]
    looks_right(parse(_bent(data, beginning)))


@pytest.mark.parametrize("name", DATAGRAMS)
@given(data=st.data())
def test_datagrams_of_any_kind_are_survived(name: str, data: st.DataObject) -> None:
    parse, beginning = DATAGRAMS[name]
    looks_right(parse(_bent(data, beginning), ADDRESS))


def _bent(data: st.DataObject, beginning: bytes) -> bytes:
    """Bytes that begin like a good answer, with some changed, cut and followed by noise."""
    frame = bytearray(beginning + data.draw(noise))
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    return bytes(frame[: data.draw(st.integers(0, len(frame)))])


@pytest.mark.parametrize("make", [lambda: S7Conversation(ADDRESS, 2), lambda: OpcUaConversation(ADDRESS)])
@given(pieces=st.lists(st.one_of(noise, st.builds(lambda rest: b"\3\0\0\x21" + rest, noise)), max_size=6))
def test_conversations_end_or_wait_whatever_is_said(
    make: Callable[[], S7Conversation | OpcUaConversation], pieces: list[bytes]
) -> None:
    conversation = make()
    assert conversation.begin()
    for piece in pieces:
        conversation.feed(piece)
        looks_right(conversation.identity)


def test_answers_of_one_device_are_one_when_they_come_by_several_protocols() -> None:
    mac = "00:1b:1b:00:00:01"
    found = merged(
        [
            Identity(protocol="modbus", address=ADDRESS),
            Identity(protocol="profinet-dcp", address=ADDRESS, mac=mac, name="plc1"),
            Identity(protocol="lldp", mac=mac, model="CPU 1511"),
            Identity(protocol="arp", address=ADDRESS, mac=mac),
            Identity(protocol="arp", address="192.168.50.9", mac=mac),
        ]
    )
    assert [(device.address, device.name, device.model, device.vendor) for device in found] == [
        ("192.168.50.9", "", "", "Siemens"),
        (ADDRESS, "plc1", "CPU 1511", "Siemens"),
    ]
    assert found[1].preset == "modbus"
