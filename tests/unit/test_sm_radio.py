"""Wi-Fi and modem without a radio: what programs are told, and what is made of their answers.

The shapes of mmcli's answers are those of its real output (ModemManager 1.20): values are strings, ``--`` is none.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inproc import virtual_time
from sitemanager.config import Config, parse, to_toml, with_hidden
from sitemanager.core.modem import Bearer, Modem, bearer_in, modem_in, modem_paths, modem_text
from sitemanager.core.uplink_settings import UplinkConfig, uplink_mistakes
from sitemanager.core.uplinks import Given
from sitemanager.core.wifi import status_values, supplicant_config, wifi_text
from sitemanager.host.fake_radio import FakeModem, FakeWifi
from sitemanager.host.modem import LinuxModem
from sitemanager.services.modem_client import CONNECT_AGAIN_S, ModemClient
from sitemanager.services.uplink_origins import Origins

PATH = "/org/freedesktop/ModemManager1/Modem/0"
BEARER_PATH = "/org/freedesktop/ModemManager1/Bearer/0"
WIFI = UplinkConfig(name="hall", interface="wlan0", kind="wifi", ssid="Hall 4", passphrase="geheim geheim")
MODEM = UplinkConfig(name="lte", interface="wwan0", kind="modem", apn="iot.example", pin="1234")
LOCKED = Modem(PATH, "locked", needs="sim-pin", pin_attempts=3, interfaces=("wwan0",))
READY = Modem(PATH, "registered", interfaces=("wwan0",), operator="Example")
CONNECTED = Bearer(True, "wwan0", "static", Given("10.44.3.7/30", "10.44.3.8", ("10.44.0.1",)))


def modem_answer(**generic: Any) -> str:
    values = {
        "bearers": [BEARER_PATH],
        "ports": ["rpmsg_ctrl2 (ignored)", "wwan0 (net)", "wwan0at0 (at)", "wwan0qmi0 (qmi)"],
        "signal-quality": {"recent": "yes", "value": "80"},
        "state": "connected",
        "state-failed-reason": "--",
        "unlock-required": "sim-pin2",
        "unlock-retries": ["sim-pin (3)", "sim-puk (10)", "sim-pin2 (3)", "sim-puk2 (10)"],
        **generic,
    }
    return json.dumps({"modem": {"3gpp": {"operator-name": "Vodafone.de"}, "dbus-path": PATH, "generic": values}})


def bearer_answer(**ipv4: Any) -> str:
    values = {"address": "10.44.3.7", "dns": ["10.44.0.1", "10.44.0.2"], "gateway": "10.44.3.8", "method": "static"}
    status = {"connected": "yes", "interface": "wwan0", "suspended": "no"}
    return json.dumps({"bearer": {"ipv4-config": {**values, "mtu": "1500", "prefix": "28", **ipv4}, "status": status}})


def test_supplicants_text_holds_the_network_and_nothing_that_a_name_could_add() -> None:
    rows = supplicant_config('a"\n}\nctrl_interface=/tmp', 'pass"word # 1', "/run/sm/wifi").splitlines()
    assert [row for row in rows if "ctrl_interface" in row] == ["ctrl_interface=/run/sm/wifi"]
    assert "\tssid=61220a7d0a6374726c5f696e746572666163653d2f746d70" in rows
    assert "\tsae_password=7061737322776f726420232031" in rows
    assert "\tkey_mgmt=NONE" in supplicant_config("open", "", "/run").splitlines()


def test_key_is_the_standards_own_example() -> None:
    """IEEE 802.11, J.4.2, test case 1."""
    rows = supplicant_config("IEEE", "password", "/run").splitlines()
    assert "\tpsk=f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e" in rows


def test_wifi_is_good_when_it_is_completed_and_says_why_when_not() -> None:
    answer = "bssid=02:00:00:00:01:00\nssid=Hall 4\nwpa_state=COMPLETED\nkey_mgmt=WPA2-PSK\n"
    assert wifi_text("Hall 4", status_values(answer)) == ""
    assert "passphrase is wrong" in wifi_text("Hall 4", {"wpa_state": "4WAY_HANDSHAKE"})
    assert wifi_text("Hall 4", {}) == "Wi-Fi Hall 4: not connected"


def test_modem_is_read_as_mmcli_tells_it() -> None:
    assert modem_paths('{"modem-list":["/org/freedesktop/ModemManager1/Modem/0"]}\n') == (PATH,)
    assert modem_paths('{"modem-list":[]}') == ()
    modem = modem_in(modem_answer(), PATH)
    assert (modem.state, modem.interfaces, modem.bearers) == ("connected", ("wwan0",), (BEARER_PATH,))
    assert (modem.operator, modem.signal_percent, modem.pin_attempts) == ("Vodafone.de", 80, 3)
    bearer = bearer_in(bearer_answer())
    assert bearer.given == Given("10.44.3.7/28", "10.44.3.8", ("10.44.0.1", "10.44.0.2"))
    assert modem_text(modem, bearer, has_pin=False) == ""


@pytest.mark.parametrize(
    ("modem", "bearer", "words"),
    [
        (None, None, "no modem is there"),
        (modem_in(modem_answer(state="locked", **{"unlock-required": "sim-pin"}), PATH), None, "wants its PIN"),
        (modem_in(modem_answer(state="locked", **{"unlock-required": "sim-puk"}), PATH), None, "wants its PUK"),
        (
            modem_in(modem_answer(state="failed", **{"state-failed-reason": "sim-missing"}), PATH),
            None,
            "a fault: sim missing",
        ),
        (modem_in(modem_answer(state="searching"), PATH), None, "the modem is searching (Vodafone.de)"),
        (READY, bearer_in(bearer_answer(method="dhcp", address="--", gateway="--", prefix="--")), "choose DHCP"),
    ],
)
def test_modem_says_what_is_missing(modem: Modem | None, bearer: Bearer | None, words: str) -> None:
    assert words in modem_text(modem, bearer, has_pin=False)


@pytest.mark.parametrize("key", ["address", "gateway", "prefix"])
def test_bearer_without_whole_addresses_gives_none(key: str) -> None:
    for nonsense in ("--", "10.44.3.7; reboot", "999", "-1"):
        assert bearer_in(bearer_answer(**{key: nonsense})).given is None


@given(
    st.one_of(
        st.text(),
        st.recursive(
            st.text() | st.none() | st.integers(),
            lambda x: (
                st.lists(x)
                | st.dictionaries(
                    st.sampled_from(["modem", "generic", "bearer", "ipv4-config", "status", "modem-list"]), x
                )
            ),
        ).map(json.dumps),
    )
)
def test_nonsense_of_a_program_is_no_modem(text: str) -> None:
    modem_paths(text)
    modem_in(text, PATH)
    bearer_in(text)


@pytest.mark.parametrize(
    ("uplink", "words"),
    [
        (UplinkConfig(name="a", interface="eth0", ssid="x"), "goes with kind wifi"),
        (UplinkConfig(name="a", interface="wlan0", kind="wifi", ssid="x", passphrase="short"), "8 to 63 characters"),
        (UplinkConfig(name="a", interface="wlan0", kind="wifi", ssid="x", passphrase="eight\nlines"), "8 to 63 char"),
        (UplinkConfig(name="a", interface="wlan0", kind="wifi", ssid="é" * 17), "at most 32 bytes"),
        (UplinkConfig(name="a", interface="wlan0", kind="wifi", apn="x"), "goes with kind modem"),
        (UplinkConfig(name="a", interface="wwan0", kind="modem", pin="1234"), "access point"),
        (
            UplinkConfig(name="a", interface="wwan0", kind="modem", apn="x", address="10.1.1.2/24", gateway="10.1.1.1"),
            "from the mobile network",
        ),
    ],
)
def test_mistakes_in_radios_are_named(uplink: UplinkConfig, words: str) -> None:
    mistakes = list(uplink_mistakes([uplink], ["eth1"]))
    assert any(words in mistake for mistake in mistakes), mistakes


def test_values_that_mmcli_would_read_as_more_are_refused() -> None:
    for key, value in (("apn", "a,pin=0000"), ("apn_user", "a,b"), ("apn_password", 'a"b'), ("pin", "12,4")):
        text = to_toml(Config(uplinks=(MODEM,))).replace(
            f'{key} = "{getattr(MODEM, key)}"', f"{key} = {json.dumps(value)}"
        )
        with pytest.raises(Exception, match=rf"uplinks\[0\].{key}"):
            parse(text.encode(), "config")


def test_passphrase_comes_back_only_to_the_network_that_it_belongs_to() -> None:
    config = Config(uplinks=(WIFI,))
    shown = to_toml(config, hide_passwords=True)
    assert "geheim" not in shown
    renamed = {"name": "other", "ssid": "Hall 4", "passphrase": "(hidden)"}
    elsewhere = {"name": "hall", "ssid": "Evil", "passphrase": "(hidden)"}
    values = with_hidden({"uplinks": [renamed, elsewhere]}, config)
    assert [entry["passphrase"] for entry in values["uplinks"]] == ["geheim geheim", ""]


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    virtual_time.run(work())


def test_wifi_is_used_when_it_is_connected_and_not_before(tmp_path: Path) -> None:
    async def story() -> None:
        wifi = FakeWifi()
        told: list[str] = []
        origins = Origins(tmp_path, told.append, wifi=wifi)
        await origins.use((WIFI,))
        assert wifi.asked[0] == ("wlan0", "Hall 4", "geheim geheim")
        assert origins.wanted()[0].text == "Wi-Fi Hall 4: looking for it"
        wifi.state = "COMPLETED"
        await asyncio.sleep(10)
        assert origins.wanted()[0].text == ""
        assert told[-1] == "Wi-Fi Hall 4: connected"
        await origins.close()

    run(story)


def test_modem_is_connected_and_its_address_is_the_uplinks(tmp_path: Path) -> None:
    async def story() -> None:
        modem = FakeModem(LOCKED, CONNECTED)
        origins = Origins(tmp_path, lambda text: None, modem=modem)
        await origins.use((MODEM,))
        await asyncio.sleep(1)
        modem.modem = READY
        await asyncio.sleep(30)
        assert modem.asked[0] == {"apn": "iot.example", "user": "", "password": "", "pin": "1234"}
        assert origins.wanted()[0].given == CONNECTED.given
        await origins.close()

    run(story)


def test_wrong_pin_is_told_once_and_never_to_a_sim_that_heard_one_already() -> None:
    """The third wrong one locks the SIM for good."""

    async def story() -> None:
        for first, asked in ((LOCKED, 1), (Modem(PATH, "locked", needs="sim-pin", pin_attempts=2), 0)):
            modem = FakeModem(first)
            modem.refuses = "the modem does not connect: incorrect password"
            client = ModemClient(MODEM, modem, lambda text: None, lambda: None)
            await asyncio.sleep(10 * CONNECT_AGAIN_S)
            assert len(modem.asked) == asked
            assert "did not take a PIN" in client.text
            await client.close()

    run(story)


def test_refused_modem_asks_its_network_seldom() -> None:
    async def story() -> None:
        modem = FakeModem(READY)
        modem.refuses = "the modem does not connect: unknown apn"
        client = ModemClient(MODEM, modem, lambda text: None, lambda: None)
        await asyncio.sleep(10 * CONNECT_AGAIN_S)
        assert 5 <= len(modem.asked) <= 11
        await client.close()

    run(story)


def test_real_adapter_asks_mmcli_and_never_repeats_a_pin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program in mmcli's place, with mmcli's answers: the argument vectors, and what an error says."""
    program = tmp_path / "mmcli"
    (tmp_path / "modem").write_text(modem_answer())
    (tmp_path / "bearer").write_text(bearer_answer())
    program.write_text(
        "#!/bin/sh\n"
        f'echo "$*" >>{tmp_path}/calls\n'
        'case "$*" in\n'
        f'*-L*) echo \'{{"modem-list":["{PATH}"]}}\' ;;\n'
        '*simple-connect*) echo "error: couldn\'t connect the modem: incorrect password" >&2; exit 1 ;;\n'
        f"*-m*) cat {tmp_path}/modem ;;\n"
        f"*-b*) cat {tmp_path}/bearer ;;\n"
        "esac\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    host = LinuxModem()
    modem = host.find("wwan0")
    assert modem is not None
    assert host.find("wwan7") is None
    assert host.bearer(modem) == bearer_in(bearer_answer())
    with pytest.raises(Exception, match="incorrect password") as caught:
        host.connect(modem, {"apn": "iot.example", "pin": "1234", "user": "", "password": ""})
    assert "1234" not in str(caught.value)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[-1] == f"-J -m {PATH} --timeout=90 --simple-connect=apn=iot.example,pin=1234,ip-type=ipv4"
