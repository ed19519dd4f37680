"""The devices' names: questions and answers on the wire, and the section in the hosts file."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatelink.exceptions import InputError
from lm_client.core.dns import answer
from lm_client.exceptions import HostError
from lm_client.host.linux_names import HostsFile
from lm_client.service.protocol import HostName
from lm_client.service.rules import check_names, parse_address

NAME = "plc.press.acme.gatelink"
KNOWN = {NAME: "192.168.50.10"}


def _question(name: str, kind: int = 1, flags: int = 0x0100) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    return struct.pack("!6H", 77, flags, 1, 0, 0, 0) + labels + struct.pack("!HH", kind, 1)


def _code(said: bytes | None) -> tuple[int, int]:
    """Return code and number of answers."""
    assert said is not None
    number, flags, _, answers, _, _ = struct.unpack_from("!6H", said)
    assert number == 77
    assert flags & 0x8000
    return flags & 15, answers


def test_address_is_answered_when_the_name_is_known() -> None:
    said = answer(_question("PLC.Press.acme.gatelink"), KNOWN)
    assert _code(said) == (0, 1)
    assert said is not None
    assert said.endswith(bytes([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 192, 168, 50, 10]))


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        (NAME, 28, 0),
        ("press.acme.gatelink", 1, 0),
        ("gatelink", 1, 0),
        ("saw.acme.gatelink", 1, 3),
        ("example.com", 1, 5),
        ("notgatelink", 1, 5),
    ],
)
def test_nothing_is_answered_for_other_names_and_kinds(name: str, kind: int, code: int) -> None:
    assert _code(answer(_question(name, kind), KNOWN)) == (code, 0)


def test_answers_get_no_answer_and_nonsense_gets_an_error() -> None:
    assert answer(_question(NAME, flags=0x8100), KNOWN) is None
    assert answer(b"short", KNOWN) is None
    assert _code(answer(_question(NAME)[:-3], KNOWN)) == (1, 0)
    assert _code(answer(_question(NAME, flags=0x2800), KNOWN)) == (4, 0)
    pointer = struct.pack("!6H", 77, 0, 1, 0, 0, 0) + b"\xc0\x0c\x00\x01\x00\x01"
    assert _code(answer(pointer, KNOWN)) == (1, 0)


@given(st.binary(max_size=600))
def test_any_bytes_are_answered_or_not_without_an_error(data: bytes) -> None:
    said = answer(data, KNOWN)
    assert said is None or len(said) <= len(data) + 16


PLAIN = "127.0.0.1\tlocalhost\n# somebody's own\n192.0.2.7\tprinter\n"
PRESS = (HostName(NAME, "192.168.50.10"),)
SAW = (HostName("plc.saw.acme.gatelink", "100.96.0.9"),)


@pytest.mark.parametrize("before", [PLAIN, PLAIN.rstrip("\n"), ""], ids=["usual", "no end of line", "empty"])
def test_hosts_file_is_byte_for_byte_as_before_when_sessions_have_ended(tmp_path: Path, before: str) -> None:
    path = tmp_path / "hosts"
    path.write_text(before)
    hosts = HostsFile("gatelink-lm-1", path)
    hosts.apply("gl0", PRESS, 0)
    hosts.apply("gl1", SAW, 0)
    assert f"192.168.50.10\t{NAME}\n" in path.read_text()
    assert path.read_text().startswith(before)
    hosts.apply("gl1", (), 0)
    assert "saw" not in path.read_text()
    hosts.remove("gl0")
    assert path.read_text() == before
    assert hosts.clean_up() == []


@pytest.mark.parametrize("before", [PLAIN, PLAIN.rstrip("\n")], ids=["usual", "no end of line"])
def test_section_is_removed_at_the_next_start_when_the_service_was_killed(tmp_path: Path, before: str) -> None:
    path = tmp_path / "hosts"
    path.write_text(before)
    HostsFile("gatelink-lm-1", path).apply("gl0", PRESS, 0)
    path.write_text(path.read_text() + "192.0.2.8\tlater\n")
    assert HostsFile("gatelink-lm-1", path).clean_up() == [f"the section in {path}"]
    after = before + "192.0.2.8\tlater\n"
    assert path.read_text() == after


def test_other_peoples_lines_stay_when_the_end_of_the_section_was_deleted(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text(PLAIN)
    HostsFile("gatelink-lm-1", path).apply("gl0", PRESS, 0)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]) + "192.0.2.8\tlater\n")
    HostsFile("gatelink-lm-1", path).clean_up()
    assert path.read_text() == PLAIN + "192.0.2.8\tlater\n"


def test_another_installations_section_stays(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text(PLAIN)
    one, other = HostsFile("gatelink-lm-1", path), HostsFile("gatelink-lm-2", path)
    one.apply("gl0", PRESS, 0)
    other.apply("gl0", SAW, 0)
    one.remove("gl0")
    assert "plc.saw.acme.gatelink" in path.read_text()
    other.remove("gl0")
    assert path.read_text() == PLAIN


def test_hosts_file_that_cannot_be_changed_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"cannot change .*: No such file"):
        HostsFile("gatelink-lm-1", tmp_path / "none").apply("gl0", PRESS, 0)


def test_caller_can_only_name_what_his_tunnel_leads_to() -> None:
    address = parse_address("192.168.50.10", "a device")
    check_names(PRESS, [address])
    with pytest.raises(InputError, match=r"100\.96\.0\.9 is none of the devices"):
        check_names(SAW, [address])
    with pytest.raises(InputError, match="twice"):
        check_names(PRESS * 2, [address])
