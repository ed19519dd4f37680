"""The GateManager as people run it with podman: read-only, without rights, one volume; in a place of the lab."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lab.lab import Lab
from lab.places import Completed
from lab.processes import Process
from lab.products import GM_ADDRESS, GateManager

ROOT: Final = Path(__file__).parents[2]
BASE: Final = "docker.io/library/python:3.11-slim-bookworm"
IMAGE: Final = "localhost/gatelink-gm:latest"
_NEEDED: Final = ("podman", "buildah", "runc", "mmdebstrap")
_PACKAGES: Final = "python3,python3-venv,python3-pip-whl,python3-setuptools-whl,libpython3.11-stdlib,base-files"
# Debian's podman finds neither systemd nor a bus in CI, and crun refuses its cgroups.
_CONFIG: Final = """\
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
"""


def missing() -> str:
    """Why no container can be made here; empty if one can."""
    absent = [name for name in _NEEDED if shutil.which(name) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    return "" if os.geteuid() == 0 else "only root has network namespaces and containers together"


class Podman:
    """Runs podman with a configuration of its own."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="gatelink-podman-"))
        (self._folder / "containers.conf").write_text(_CONFIG)
        conf = str(self._folder / "containers.conf")
        self.environment = {**os.environ, "CONTAINERS_CONF": conf, "BUILDAH_ISOLATION": "chroot"}

    def run(self, *arguments: str | Path, check: bool = True, stdin_text: str | None = None) -> Completed:
        """Run a command to its end."""
        argv = ["podman", *map(str, arguments)]
        done = subprocess.run(
            argv, env=self.environment, capture_output=True, text=True, input=stdin_text, timeout=120, check=False
        )
        assert done.returncode == 0 or not check, f"{' '.join(argv)}: {done.stderr[-2000:]}"
        return Completed(done.returncode, done.stdout, done.stderr)

    def build(self) -> None:
        """Make the image, on the public base if it is here, else on one of Debian's packages under the same name."""
        if self.run("image", "exists", BASE, check=False).returncode:
            base = ROOT / "build" / "container" / "base.tar"
            if not base.exists():
                base.parent.mkdir(parents=True, exist_ok=True)
                partial = base.with_suffix(".partial.tar")
                # Unpacked, not set up: a third of the time, and all that Python needs.
                command = [
                    "mmdebstrap",
                    "--quiet",
                    "--variant=extract",
                    f"--include={_PACKAGES}",
                    "bookworm",
                    str(partial),
                ]
                subprocess.run(command, check=True, timeout=400)
                partial.rename(base)
            self.run("import", base, BASE)
        subprocess.run([ROOT / "tools" / "container"], env=self.environment, check=True, timeout=600)

    def close(self) -> None:
        """Forget the configuration."""
        shutil.rmtree(self._folder)


class ContainerGm(GateManager):
    """A GateManager in a container whose network is the lab's internet."""

    def __init__(self, lab: Lab, podman: Podman) -> None:
        super().__init__(lab)
        self._podman = podman
        self.name = f"{lab.prefix}-gm"
        self._volume = f"{lab.prefix}-gm-data"
        self._namespace = f"/run/netns/{self.place.namespace}"
        # What the run time gives a container that listens on low ports and has no rights.
        self.place.run(["sysctl", "-q", "-w", "net.ipv4.ip_unprivileged_port_start=80"])

    def run(self, *arguments: str, check: bool = True, stdin_text: str | None = None) -> Completed:
        """Run an administrator's command in the running container."""
        options = ["--interactive"] if stdin_text is not None else []
        return self._podman.run("exec", *options, self.name, "gm", *arguments, check=check, stdin_text=stdin_text)

    def run_each(self, *commands: Sequence[str]) -> None:
        """Run several commands in the running container."""
        for command in commands:
            self.run(*command)

    def init(self, *addresses: str) -> None:
        """Make a GateManager in a new volume."""
        wanted = [word for address in addresses or (GM_ADDRESS,) for word in ("--address", address)]
        # That it is made is known by this folder; its data lie in the volume.
        self.data.mkdir(parents=True)
        self._podman.run("run", "--rm", *self._options(), IMAGE, "init", "--name", "acme", *wanted)

    def start(self, env: dict[str, str] | None = None) -> Process:
        """Serve, and wait until it does."""
        del env
        self._podman.run("run", "--detach", "--name", self.name, *self._options(), IMAGE)
        deadline = time.monotonic() + 60
        while self.run("health", check=False).returncode:
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.2)
        return None  # type: ignore[return-value]

    def stop(self) -> float:
        """Stop it as `podman stop` does; return how long that took, in seconds."""
        begin = time.monotonic()
        self._podman.run("stop", "--time", "30", self.name)
        return time.monotonic() - begin

    def log(self) -> str:
        """Return what it wrote."""
        done = self._podman.run("logs", self.name, check=False)
        return done.stdout + done.stderr

    def inspect(self, form: str) -> str:
        """Return a part of what podman knows of it."""
        return self._podman.run("inspect", "--format", form, self.name).stdout.strip()

    def remove(self) -> None:
        """Leave nothing behind."""
        self._podman.run("rm", "--force", "--ignore", self.name, check=False)
        self._podman.run("volume", "rm", "--force", self._volume, check=False)

    def _options(self) -> Sequence[str]:
        """As gm_server/compose.yaml has them."""
        return (
            "--read-only",
            "--cap-drop=all",
            "--security-opt=no-new-privileges",
            "--tmpfs=/tmp:size=64m,mode=1777",
            f"--volume={self._volume}:/data",
            f"--network=ns:{self._namespace}",
        )
