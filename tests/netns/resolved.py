"""systemd-resolved on a PC of the lab, with a system bus of its own; programs ask it as on a Debian that has it.

It is fetched and unpacked, never installed: that would take over the names of the machine that runs the tests.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lab import Place, wait_until
from lab.exceptions import CommandFailed
from lab.processes import Process

_BUILD: Final = Path(__file__).parents[2] / "build" / "systemd-resolved"
_PACKAGE: Final = "systemd-resolved"
_NOBODY_ELSE: Final = 64990
_BUS: Final = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default">
<allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
</policy>
</busconfig>
"""
# In a mount namespace of its own: the user, the bus, the commands and the resolv.conf that the package would bring.
_SCRIPT: Final = """
cd "$1"
mount --make-rprivate /
mkdir -p /run/systemd /run/dbus
mount -t tmpfs tmpfs /run/systemd
mount -t tmpfs tmpfs /run/dbus
mkdir /run/systemd/resolve
chown "$3:$3" /run/systemd/resolve
for file in passwd group; do
    cp "/etc/$file" "$file"
    mount --bind "$file" "/etc/$file"
done
echo "systemd-resolve:x:$3:$3::/:/usr/sbin/nologin" >>/etc/passwd
echo "systemd-resolve:x:$3:" >>/etc/group
echo "nameserver 127.0.0.53" >resolv.conf
mount --bind resolv.conf "$(readlink -f /etc/resolv.conf)"
mount -t overlay overlay -o "lowerdir=$2/usr/bin:/usr/bin" /usr/bin
dbus-daemon --config-file="$1/bus.conf" --fork
exec "$2/lib/systemd/systemd-resolved"
"""


def fetch() -> Path:
    """Return where the package is unpacked. Raises CommandFailed if it cannot be had."""
    root = _BUILD / "root"
    if not root.exists():
        _BUILD.mkdir(parents=True, exist_ok=True)
        for words in (["download", _PACKAGE], ["update", "-qq"], ["download", _PACKAGE]):
            argv = ["apt-get", "-o", "APT::Sandbox::User=root", *words]
            done = subprocess.run(argv, cwd=_BUILD, capture_output=True, text=True, timeout=120)
            if any(_BUILD.glob("*.deb")):
                break
        else:
            raise CommandFailed(f"{_PACKAGE} cannot be fetched: {done.stderr.strip().splitlines()[-1:]}")
        partial = _BUILD / "partial"
        subprocess.run(["dpkg-deb", "-x", next(_BUILD.glob("*.deb")), partial], check=True, timeout=60)
        partial.rename(root)
    return root


class Resolved:
    """Runs in ``place``; what is to ask it is started with ``argv``."""

    def __init__(self, place: Place, directory: Path) -> None:
        directory.mkdir()
        (directory / "bus.conf").write_text(_BUS)
        self._place = place
        words = ["unshare", "--mount", "sh", "-euc", _SCRIPT, "sh", str(directory), str(fetch()), str(_NOBODY_ELSE)]
        self.process: Process = place.start(words, name="resolved", env={"SYSTEMD_LOG_LEVEL": "info"})
        wait_until(lambda: self.run("resolvectl", "dns", check=False).startswith("Global"), 60, "systemd-resolved")

    def argv(self, words: Sequence[str | Path]) -> list[str]:
        """The command line of a program that asks it."""
        return ["nsenter", f"--mount=/proc/{self.process.pid}/ns/mnt", "--", *map(str, words)]

    def run(self, *words: str, check: bool = True) -> str:
        """What a command says there."""
        done = self._place.run(self.argv(words), check=check)
        return done.stdout.strip()

    def end(self) -> None:
        """End it; its bus goes with the lab."""
        self.process.kill9()
