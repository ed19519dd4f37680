"""Wi-Fi and a modem in memory: a test says what they tell."""

from __future__ import annotations

from sitemanager.core.modem import Bearer, Modem
from sitemanager.exceptions import NetworkError


class FakeWifi:
    """See ``host.wifi.WifiHost``; its supplicant is a program that does nothing."""

    def __init__(self) -> None:
        self.state = "SCANNING"
        self.asked: list[tuple[str, str, str]] = []

    def argv(self, interface: str, ssid: str, passphrase: str) -> list[str]:
        """Remember it."""
        self.asked.append((interface, ssid, passphrase))
        return ["sleep", "600"]

    def status(self, interface: str) -> dict[str, str]:
        """Return what the test set."""
        del interface
        return {"wpa_state": self.state}


class FakeModem:
    """See ``host.modem.ModemHost``."""

    def __init__(self, modem: Modem | None = None, bearer: Bearer | None = None) -> None:
        self.modem = modem
        self.bearer_after: Bearer | None = bearer
        """Its connection once it was asked to connect."""
        self.asked: list[dict[str, str]] = []
        self.refuses = ""

    def find(self, interface: str) -> Modem | None:
        """Return what the test set."""
        del interface
        return self.modem

    def bearer(self, modem: Modem) -> Bearer | None:
        """Connected after the first successful attempt."""
        del modem
        return self.bearer_after if self.asked and not self.refuses else None

    def connect(self, modem: Modem, settings: dict[str, str]) -> None:
        """Remember it, or refuse."""
        del modem
        self.asked.append(settings)
        if self.refuses:
            raise NetworkError(self.refuses)
