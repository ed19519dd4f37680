"""The remembered keys of SiteManagers, on disk as soon as they change."""

from __future__ import annotations

import msgspec

from gatelink.exceptions import PeerChanged
from lm_client.core.known import KnownKey, KnownKeys
from lm_client.home import Home


class KeyBook(KnownKeys):
    """``known_appliances.json``."""

    def __init__(self, home: Home) -> None:
        super().__init__(home.load(home.known_path, dict[str, KnownKey]) or {})
        self._home = home

    def check(self, appliance_id: str, name: str, key_sha256: bytes) -> bool:
        """As ``KnownKeys.check``; a refused key is kept, so that it can be accepted after another login, too."""
        try:
            return super().check(appliance_id, name, key_sha256)
        except PeerChanged:
            self._save()
            raise

    def remember(self, appliance_id: str, name: str, key_sha256: bytes) -> bool:
        """Keep a key that proved itself; return whether anything changed. Raises InputError if it cannot be kept."""
        changed = super().remember(appliance_id, name, key_sha256)
        if changed:
            self._save()
        return changed

    def _save(self) -> None:
        self._home.write(self._home.known_path, msgspec.json.format(msgspec.json.encode(self.entries)))
