"""Every module that the LinkManager needs on Windows can be imported there: nothing of Linux at the top of a file.

A process of its own pretends to be Windows: what Python lacks there is taken away before the modules are imported.
What is imported from elsewhere was imported before, as Linux has it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINUX_ALONE = {
    "gatelink.tunnel.fake",
    "gatelink.tunnel.pump",
    "gatelink.tunnel.tap",
    "lm_client.agent.pty_bridge",
    "lm_client.host.fake",
    "lm_client.host.linux",
    "lm_client.host.linux_names",
    "lm_client.service.callers",
    "lm_client.streams.unix",
}
"""May import what only Linux has; the others must do without them when they are imported."""

_PRETEND = """
import importlib, json, sys

modules, linux_alone = json.loads(sys.argv[1]), json.loads(sys.argv[2])
for name in modules:
    importlib.import_module(name)
ours = [name for name in sys.modules if name.split(".")[0] in ("gatelink", "lm_client")]
for name in ours:
    del sys.modules[name]

import asyncio, mmap, os, select, signal, socket, types
for name in ("fcntl", "termios", "pty", "tty", "pwd", "grp", "resource", "readline", "syslog", *linux_alone):
    sys.modules[name] = None
sys.modules["msvcrt"] = types.SimpleNamespace(locking=None, LK_NBLCK=2)
lacking = {
    os: ["eventfd", "EFD_NONBLOCK", "EFD_CLOEXEC", "geteuid", "getuid", "getgid", "setsid", "fork", "fchmod",
         "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "readv", "writev", "set_blocking",
         "openpty", "uname", "ttyname"],
    socket: ["AF_UNIX", "AF_NETLINK", "SO_PEERCRED", "send_fds", "recv_fds", "SOCK_CLOEXEC", "SOCK_NONBLOCK",
             "TCP_INFO", "TCP_CONGESTION", "TCP_USER_TIMEOUT", "MSG_DONTWAIT"],
    select: ["epoll", "poll", "EPOLLIN", "EPOLLOUT", "POLLIN", "POLLHUP"],
    signal: ["SIGHUP", "SIGKILL", "SIGUSR1", "SIGALRM", "pause"],
    mmap: ["MADV_DONTNEED"],
    asyncio: ["start_unix_server", "open_unix_connection"],
}
for module, names in lacking.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
sys.platform = "win32"

trouble = {}
for name in modules:
    if name not in linux_alone:
        try:
            importlib.import_module(name)
        except Exception as error:
            trouble[name] = repr(error)
print(json.dumps(trouble))
"""


def _modules() -> list[str]:
    found = []
    for base in ("gatelink", "lm_client"):
        for path in sorted((ROOT / base / base).rglob("*.py")):
            parts = path.relative_to(ROOT / base).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if parts[-1] != "__main__":
                found.append(name)
    return found


def test_every_module_is_imported_when_the_system_is_windows() -> None:
    modules = _modules()
    assert len(modules) > 100
    assert set(modules) >= LINUX_ALONE
    argv = [sys.executable, "-P", "-c", _PRETEND, json.dumps(modules), json.dumps(sorted(LINUX_ALONE))]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {}
