"""The data directory: where everything of one GateManager lies, and how it is made.

    config.toml      settings; written last, so that a directory without it is a half-done ``gm init``
    appliance.pem    the certificate that parties pin, with its key
    device_ca.pem    signs SiteManagers' certificates
    user_ca.pem      signs LinkManagers' certificates
    web.pem          what browsers see: a key with its chain of certificates
    acme.json        the account with the authority that issues it, if there is one
    gm.sqlite3       the records
    gm.sock          the running server's local socket
    firmware/        bundles for SiteManagers, named by their ids; not in backups
    lock             held by the running server
    replaced/        what the last `gm restore` took the place of

The directory is 0700, every file in it 0600: who can read it is the GateManager.
"""

from __future__ import annotations

import datetime
import fcntl
import os
import secrets
from pathlib import Path
from typing import Final

from gatelink.exceptions import GatelinkError, InputError
from gatelink.files import sync_directory, write_atomically
from gatelink.identity import Identity, from_pem, self_signed, to_pem

from . import config
from .appliances.bundle_files import FOLDER, BundleFiles
from .appliances.virtual import VIRTUAL_NETWORK
from .config import Config, check_virtual_network
from .database.engine import Database
from .exceptions import Conflict, NotFound

APPLIANCE_LIFETIME_DAYS: Final = 30 * 365
"""Parties judge the pinned certificate by its key; the date only must never be what ends a plant's access."""
AUTHORITY_LIFETIME_DAYS: Final = 40 * 365
WEB_LIFETIME_DAYS: Final = 397
"""The longest that browsers accept (CA/Browser Forum, ballot SC31)."""
STAGING: Final = ".restore-"
READY: Final = "restore.ready"
REPLACED: Final = "replaced"
"""Folders of ``backup.restoring``."""
_OURS: Final = ("appliance.pem", "device_ca.pem", "user_ca.pem", "web.pem", "gm.sqlite3", "config.toml", "lock")


class DataDirectory:
    """Paths and contents of a data directory."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.config_path = self.path / "config.toml"
        self.database_path = self.path / "gm.sqlite3"
        self.web_path = self.path / "web.pem"
        self.socket_path = self.path / "gm.sock"
        self._lock_path = self.path / "lock"

    @property
    def is_finished(self) -> bool:
        """Whether ``gm init`` was completed here."""
        return self.config_path.exists()

    def check_is_finished(self) -> None:
        """Raise NotFound, which says what to do, unless ``gm init`` was completed here."""
        if (self.path / READY).exists():
            self._finish_restore()
        if not self.is_finished:
            raise NotFound(f"{self.path} holds no GateManager: run `gm init` first, or name the directory with --data")

    def strange_entries(self) -> list[str]:
        """Return what lies here and is not a GateManager's."""
        names = [entry.name for entry in self.path.iterdir()] if self.path.is_dir() else []
        ours = (
            *_OURS,
            *(f".{name}" for name in _OURS),
            STAGING,
            READY,
            REPLACED,
            FOLDER,
            "acme.json",
            "gm.sock",
            ".backup-",
        )
        return [name for name in names if not name.startswith(ours)]

    def _finish_restore(self) -> None:
        """Go on with a restore that was interrupted."""
        from .backup.restoring import finish

        descriptor = self.lock()
        try:
            finish(self.path)
        finally:
            os.close(descriptor)

    def config(self) -> Config:
        """Read the settings."""
        self.check_is_finished()
        return config.load(self.config_path)

    def database(self) -> Database:
        """Open the records."""
        network = check_virtual_network(self.config().virtual_network)
        return Database(self.database_path, info={VIRTUAL_NETWORK: network})

    def bundle_files(self) -> BundleFiles:
        """Return where firmware lies."""
        return BundleFiles(self.path)

    def appliance_identity(self) -> Identity:
        """Return the certificate that parties pin."""
        return self._load("appliance.pem")

    def device_authority(self) -> Identity:
        """Return the authority for SiteManagers."""
        return self._load("device_ca.pem")

    def user_authority(self) -> Identity:
        """Return the authority for LinkManagers."""
        return self._load("user_ca.pem")

    def web_identity(self) -> Identity:
        """Return what browsers see."""
        return self._load("web.pem")

    def replace_appliance_identity(self, identity: Identity) -> None:
        """Use another appliance certificate from now on."""
        write_atomically(self.path / "appliance.pem", to_pem(identity))

    def make(self, settings: Config, now: datetime.datetime) -> None:
        """Make everything but the database's tables and the settings; what an interrupted run made is kept.

        Raises Conflict if the directory is somebody else's: it is made unreadable for all others.
        """
        strange = self.strange_entries()
        if strange:
            raise Conflict(f"{self.path} holds other files ({strange[0]}): name a directory of its own with --data")
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.chmod(0o700)
        self._make_identity("appliance.pem", settings.name, now, APPLIANCE_LIFETIME_DAYS)
        self._make_identity("device_ca.pem", f"{settings.name} devices", now, AUTHORITY_LIFETIME_DAYS, ca=True)
        # Browsers choose a certificate by its authority's name: no two GateManagers may have the same.
        users = f"{settings.name} users {secrets.token_hex(4)}"
        self._make_identity("user_ca.pem", users, now, AUTHORITY_LIFETIME_DAYS, ca=True)
        self._make_identity("web.pem", settings.addresses[0], now, WEB_LIFETIME_DAYS)

    def finish(self, settings: Config) -> None:
        """Write the settings: the directory is complete."""
        sync_directory(self.path)
        write_atomically(self.config_path, config.render(settings).encode())

    def lock(self) -> int:
        """Take the lock of the running server; raises GatelinkError if another one has it. Held until closed."""
        descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise GatelinkError(f"another `gm serve` runs with {self.path}") from None
        return descriptor

    def _make_identity(
        self, name: str, common_name: str, now: datetime.datetime, lifetime_days: int, *, ca: bool = False
    ) -> None:
        path = self.path / name
        if not path.exists():
            write_atomically(path, to_pem(self_signed(common_name, now, lifetime_days, ca=ca)))

    def _load(self, name: str) -> Identity:
        path = self.path / name
        try:
            return from_pem(path.read_bytes())
        except OSError as error:
            raise GatelinkError(f"cannot read {path}: {error.strerror}; restore it from a backup") from None
        except InputError as error:
            raise GatelinkError(f"{path}: {error}; restore it from a backup") from None
