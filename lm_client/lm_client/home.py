"""The user's files: who he is, whom he trusts, what he set. Only he can read them; a pulled plug leaves no half file.

identity.p12            certificate and key, under the user's password
profile.json            the GateManager's addresses and pin, the user's name; written last, its absence means
                        "nobody enrolled here yet"
known_appliances.json   the SiteManagers' keys
alarms.json             foreign certificates met in the GateManager's place, until it was told
favourites.json         machines that the user wants at hand
page.json, page.lock    where the local page listens, and the key to it
profiles/NAME/          the same files for another GateManager or user
config.toml             the user's own settings (may be absent)
pending-*.pem           a key whose certificate has not come yet, under the password
agent.log               what the agent did
agent.lock, agent.sock  held by the running agent
"""

from __future__ import annotations

import os
import stat
import sys
import zlib
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec

from gatelink.exceptions import InputError
from gatelink.files import write_atomically

_MAX_SOCKET_PATH_BYTES: Final = 100
"""The kernel takes 107."""
_PROFILES: Final = "profiles"
_MAX_PROFILE: Final = 32
T = TypeVar("T")


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Who the user is to which GateManager. ``pin_certificate`` (DER) is empty before the first contact."""

    user: str
    domain: str = ""
    addresses: tuple[str, ...]
    """As invitation or command line gave them."""
    learnt_addresses: tuple[str, ...] = ()
    """As the GateManager told them last."""
    pin_certificate: bytes = b""
    pin_how: Literal["proof", "fingerprint", "first-use", "succession"] = "first-use"
    method: Literal["certificate", "password"] = "certificate"
    """``password``: there is no certificate file; each login brings a certificate for some hours."""


class Home:
    """The directory; made when something is first written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def find(cls, given: str | None = None) -> Home:
        """Return the one given, else that of GATELINK_LM_HOME, else gatelink-lm in the user's configuration."""
        if chosen := given or os.environ.get("GATELINK_LM_HOME"):
            return cls(Path(chosen).absolute())
        usual = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CONFIG_HOME"
        configuration = os.environ.get(usual) or str(Path.home() / ".config")
        return cls(Path(configuration) / "gatelink-lm")

    def of_profile(self, name: str) -> Home:
        """Return the home of another user or GateManager of the same person. Raises InputError for no name."""
        if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum() or len(name) > _MAX_PROFILE:
            raise InputError(
                f"{name[:40]!r} is no name for a profile: letters, digits, - and _, at most {_MAX_PROFILE}"
            )
        return Home(self.path / _PROFILES / name)

    @property
    def profile_name(self) -> str:
        """The name of the profile that this is; empty for the usual home."""
        return self.path.name if self.path.parent.name == _PROFILES else ""

    @property
    def usual(self) -> Home:
        """The home beside which this profile is, or this one."""
        return Home(self.path.parent.parent) if self.profile_name else self

    @property
    def profiles(self) -> tuple[str, ...]:
        """The names of the profiles beside the usual one."""
        try:
            return tuple(sorted(entry.name for entry in (self.path / _PROFILES).iterdir() if entry.is_dir()))
        except OSError:
            return ()

    @property
    def config_path(self) -> Path:
        """The user's own settings."""
        return self.path / "config.toml"

    @property
    def identity_path(self) -> Path:
        """PKCS#12."""
        return self.path / "identity.p12"

    @property
    def profile_path(self) -> Path:
        """Written last of an enrolment."""
        return self.path / "profile.json"

    @property
    def known_path(self) -> Path:
        """The SiteManagers' keys."""
        return self.path / "known_appliances.json"

    @property
    def alarms_path(self) -> Path:
        """What the GateManager is still to be told."""
        return self.path / "alarms.json"

    @property
    def favourites_path(self) -> Path:
        """The machines that the user wants at hand."""
        return self.path / "favourites.json"

    @property
    def page_path(self) -> Path:
        """Where the local page is, and the key to it."""
        return self.path / "page.json"

    @property
    def page_lock_path(self) -> Path:
        """Locked by the running page."""
        return self.path / "page.lock"

    @property
    def log_path(self) -> Path:
        """What the agent did."""
        return self.path / "agent.log"

    @property
    def lock_path(self) -> Path:
        """Locked by the running agent."""
        return self.path / "agent.lock"

    @property
    def socket_path(self) -> Path:
        """Where the agent listens: in the user's runtime directory, else here. Raises InputError if it is too long."""
        path = self.path / "agent.sock"
        if runtime := os.environ.get("XDG_RUNTIME_DIR"):
            path = Path(runtime) / "gatelink-lm" / f"{_short_name(os.fsencode(self.path))}.sock"
        if sys.platform != "win32" and len(os.fsencode(path)) > _MAX_SOCKET_PATH_BYTES:
            raise InputError(f"the path {path} is too long for a socket: choose a shorter --home")
        return path

    @property
    def serial_directory(self) -> Path:
        """Where serial ports of machines appear: beside the agent's socket, gone with the PC's next start."""
        return self.socket_path.parent / f"{self.socket_path.stem}-serial"

    def pending_path(self, claim_id: str) -> Path:
        """Where the key is kept while the invitation is redeemed."""
        return self.path / f"pending-{_short_name(claim_id.encode())}.pem"

    def ensure(self) -> None:
        """Make the directory, for its owner alone. Raises InputError if it is not the user's own."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if sys.platform == "win32":
                return  # what lies below the user's own AppData is closed to others by its access list
            status = self.path.stat()
            if status.st_uid != os.geteuid():
                raise InputError(f"{self.path} belongs to another user (uid {status.st_uid}): choose another --home")
            if stat.S_IMODE(status.st_mode) & 0o077:
                self.path.chmod(0o700)
        except OSError as error:
            raise InputError(f"cannot use {self.path}: {error.strerror}; choose another --home") from None

    def write(self, path: Path, data: bytes) -> None:
        """Replace one of the files. Raises InputError."""
        try:
            write_atomically(path, data)
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror}") from None

    def read(self, path: Path) -> bytes | None:
        """Return a file's content, None if it is not there. Raises InputError."""
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from None

    def profile(self) -> Profile:
        """Return who the user is; raises InputError if nobody enrolled here."""
        found = self.load(self.profile_path, Profile)
        if found is None:
            raise InputError(f"no user in {self.path} yet: use `lm redeem` with your invitation, or `lm import`")
        return found

    def save_profile(self, profile: Profile) -> None:
        """Keep it."""
        self.write(self.profile_path, msgspec.json.format(msgspec.json.encode(profile)))

    def load(self, path: Path, kind: type[T]) -> T | None:
        """Return the content of a JSON file, None if it is not there. Raises InputError if it is damaged."""
        data = self.read(path)
        try:
            return None if data is None else msgspec.json.decode(data, type=kind)
        except msgspec.MsgspecError as error:
            raise InputError(f"{path} is damaged ({error}): remove it, or restore it from a backup") from None


def _short_name(long: bytes) -> str:
    """Return a name that tells a few homes or invitations of one user apart; nothing is protected by it."""
    return f"{zlib.crc32(long):08x}"


def be_user(home: Home, user: str, addresses: tuple[str, ...]) -> None:
    """Keep who logs in with name and password alone. Raises InputError; then nothing changed."""
    from gatelink.link.endpoints import check_address

    if not user or not addresses:
        raise InputError("a login without a certificate needs both --user and --gm")
    for address in addresses:
        check_address(address)
    home.ensure()
    if home.read(home.profile_path) is not None:
        before = home.profile()
        if (before.user, before.addresses, before.method) == (user, addresses, "password"):
            return
        raise InputError(f"{home.path} belongs to {before.user or 'a certificate'} already: use --home or --profile")
    home.save_profile(Profile(user=user, addresses=addresses, method="password"))
