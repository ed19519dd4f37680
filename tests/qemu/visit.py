"""Program: the lab with the emulated gateway in it, up until Ctrl-C. `make qemu` runs it.

The gateway is at the place `site`; `./lab exec plant -- ...` is beside its machine port, `./lab exec pc -- lm ...` the
engineer.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from lab.products import APPLIANCE
from qemu.scene import Scene

_DEADLINE_S = 600.0


def main() -> int:
    """Run until interrupted."""
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: over.set())
    with Scene(os.environ.get("GATELINK_LAB_PREFIX") or "gl") as scene:
        scene.provision()
        scene.gateway.power_on()
        sys.stdout.write("the gateway boots; its console is in build/, it connects in one to two minutes ...\n")
        sys.stdout.flush()
        seconds = scene.wait_until_online(_DEADLINE_S)
        scene.grant_plc()
        scene.system.start_lm()
        sys.stdout.write(
            f"connected after {seconds:.0f} s. What you can run:\n"
            f"  ./lab exec pc -- lm connect {APPLIANCE}\n"
            "  ./lab exec pc -- python -m lab.modbus_client\n"
            "  ./lab exec internet -- gm appliances list\n"
            "  ./lab exec plant -- python3 -c \"print('the set-up page: https://192.168.50.1')\"\n"
            "Ctrl-C takes it down.\n"
        )
        sys.stdout.flush()
        over.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
