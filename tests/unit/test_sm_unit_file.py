"""``gatelink.toml``: taken as a whole or not at all, no secret left behind, idempotent."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gatelink.claims import Claim, claim_text
from gatelink.wire import SECRET_BYTES
from sitemanager.core.unit_file import NetworkOfUnit, network_settings, read, without_secrets
from sitemanager.exceptions import ConfigError
from sitemanager.host.config_store import load
from sitemanager.host.state import State
from sitemanager.services import unit_file
from sitemanager.services.heartbeat import FILE_NAME, Heartbeat

CLAIM = claim_text(Claim("appliance", "0" * 32, b"s" * SECRET_BYTES, ("gm.acme.example",)))
TEXT = f"""
claim = "{CLAIM}"
[network]
uplink = "10.20.1.2/24"
gateway = "10.20.1.1"
dns = ["10.20.1.1", "fd00::1"]
machine = "192.168.50.1/24"
[config]
ports = [443]
"""


def test_file_is_applied_and_its_claim_is_gone(tmp_path: Path) -> None:
    card = tmp_path / "card"
    card.mkdir()
    (card / "gatelink.toml").write_text(TEXT)
    state = State(tmp_path / "state")
    unit_file.apply(card / "gatelink.toml", state, tmp_path / "network" / "settings")
    assert [path.name for path in card.iterdir()] == ["gatelink.applied.toml"]
    assert CLAIM not in (card / "gatelink.applied.toml").read_text()
    assert state.pending_claim() == CLAIM
    config = load(state.directory)
    assert (config.ports, config.dev_address, config.dev_interfaces) == ((443,), "192.168.50.1/24", ("dev0",))
    assert (tmp_path / "network" / "settings").read_text() == (
        'UPLINK_METHOD=static\nUPLINK_ADDRESS=10.20.1.2/24\nUPLINK_GATEWAY=10.20.1.1\nUPLINK_DNS="10.20.1.1 fd00::1"\n'
    )


def test_nothing_is_changed_and_all_mistakes_are_named_when_a_file_is_wrong(tmp_path: Path) -> None:
    card = tmp_path / "card"
    card.mkdir()
    (card / "gatelink.toml").write_text(
        'claim = "glc1_wrong"\nclam = 1\n[network]\nuplink = "$(reboot)"\ngateway = "x"\n'
    )
    state = State(tmp_path / "state")
    with pytest.raises(ConfigError):
        unit_file.apply(card / "gatelink.toml", state, tmp_path / "settings")
    mistakes = (card / "gatelink.mistakes.txt").read_text()
    assert all(word in mistakes for word in ("clam: unknown key", "claim: ", "network.uplink", "network.gateway"))
    assert "glc1_wrong" not in mistakes
    assert not (tmp_path / "state" / "config.toml").exists()
    assert not (tmp_path / "settings").exists()
    assert (card / "gatelink.toml").exists()


@pytest.mark.parametrize("text", ["10.0.0.1/24; reboot", "$(id)", "10.0.0.1/99", "", "\n"])
def test_no_word_but_an_address_reaches_the_scripts(text: str) -> None:
    with pytest.raises(ValueError):
        network_settings(NetworkOfUnit(uplink=text))


@pytest.mark.parametrize("data", [b"\xff\xfe", b"a = ", b"x" * 70000, b"[" * 5000])
def test_file_that_is_no_toml_is_refused(data: bytes) -> None:
    with pytest.raises(ConfigError):
        read(data, "gatelink.toml")


def test_secrets_are_left_out_of_the_copy() -> None:
    kept = without_secrets(b'claim = "glc1_x"\r\n"password" = "y"\n[network]\nuplink="dhcp"\n')
    assert "glc1_x" not in kept
    assert '"y"' not in kept
    assert 'uplink="dhcp"' in kept


def test_new_unit_gets_its_first_configuration_when_nobody_told_it_anything(tmp_path: Path) -> None:
    unit_file.begin(State(tmp_path))
    assert load(tmp_path).dev_address == "10.0.0.1/24"
    assert (tmp_path / "page.json").stat().st_mode & 0o777 == 0o600


def test_heartbeat_changes_and_a_fall_back_is_told_once_a_boot(tmp_path: Path) -> None:
    firmware = tmp_path / "firmware"
    firmware.write_text("slot=B\nversion=0.2.0\nfell_back=A 0.4.0 crashes\ndata=full: 12 KiB are free\n")
    told: list[tuple[str, str]] = []

    class Status:
        connected = True

    async def beat() -> None:
        heart = Heartbeat(tmp_path, Status, lambda kind, text: told.append((kind, text)), firmware)  # type: ignore[arg-type]
        await heart.use(None)  # type: ignore[arg-type]
        while not (tmp_path / FILE_NAME).exists():  # noqa: ASYNC110 - a file, not an event
            await asyncio.sleep(0)
        assert (tmp_path / FILE_NAME).read_text() == "beat=1\nconnected=1\n"
        await heart.close()
        assert not (tmp_path / FILE_NAME).exists()

    asyncio.run(beat())
    asyncio.run(beat())
    assert told == [
        ("firmware", "fell back: slot B with version 0.2.0 runs, because of A 0.4.0 crashes"),
        ("firmware", "data partition: full: 12 KiB are free"),
    ]
