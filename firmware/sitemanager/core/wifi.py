"""Wi-Fi as wpa_supplicant has it: its configuration's text, and its state in words. No I/O."""

from __future__ import annotations

import hashlib
from typing import Final

_ROUNDS, _KEY_BYTES = 4096, 32
_WORDS: Final = {
    "DISCONNECTED": "not connected",
    "INACTIVE": "not connected",
    "INTERFACE_DISABLED": "the Wi-Fi adapter is switched off",
    "SCANNING": "looking for it",
    "AUTHENTICATING": "logging in",
    "ASSOCIATING": "logging in",
    "ASSOCIATED": "logging in",
    "4WAY_HANDSHAKE": "logging in; if this stays, the passphrase is wrong",
    "GROUP_HANDSHAKE": "logging in",
}
CONNECTED: Final = "COMPLETED"


def supplicant_config(ssid: str, passphrase: str, control: str) -> str:
    """Return wpa_supplicant's configuration for one network; without a passphrase an open one.

    Names and secrets are written in hexadecimal, so that nothing in them can be more than that: in a quoted passphrase
    with a quotation mark and a ``#`` wpa_supplicant 2.10 finds a comment. WPA2's key is made as IEEE 802.11 J.4.1 says.
    """
    rows = [
        f"ctrl_interface={control}",
        "network={",
        f"\tssid={ssid.encode().hex()}",
        "\tscan_ssid=1",
    ]
    if passphrase:
        key = hashlib.pbkdf2_hmac("sha1", passphrase.encode(), ssid.encode(), _ROUNDS, _KEY_BYTES)
        rows += [
            "\tkey_mgmt=WPA-PSK WPA-PSK-SHA256 SAE",
            f"\tpsk={key.hex()}",
            f"\tsae_password={passphrase.encode().hex()}",
            "\tieee80211w=1",
        ]
    else:
        rows.append("\tkey_mgmt=NONE")
    return "\n".join([*rows, "}", ""])


def status_values(answer: str) -> dict[str, str]:
    """Return what wpa_supplicant said to ``STATUS``."""
    return dict(row.split("=", 1) for row in answer.splitlines() if "=" in row)


def wifi_text(ssid: str, status: dict[str, str]) -> str:
    """Return why the network cannot be used; empty if it can."""
    state = status.get("wpa_state", "")
    if state == CONNECTED:
        return ""
    return f"Wi-Fi {ssid}: {_WORDS.get(state, 'not connected')}"
