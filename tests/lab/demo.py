"""Program: shows the whole system at work, step by step, with times. `make demo` runs it.

A PC reads a PLC at its own plant address, through a GateManager and a SiteManager, in real network namespaces.
"""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from lab import namespaces, rights
from lab.exceptions import LabError, MissingRights
from lab.lab import Lab
from lab.places import Place
from lab.products import APPLIANCE, DEVICE, DOMAIN, PLC_ADDRESS, USER, System

_IPERF_PORT: Final = 5201
_TITLE, _PLAIN = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")


class Narrator:
    """Says what is done, how long it took and what came of it."""

    def __init__(self) -> None:
        self._begin = time.monotonic()

    def step(self, title: str, work: Callable[[], object]) -> None:
        """Do one step."""
        sys.stdout.write(f"\n{self._elapsed_s():5.1f} s  {_TITLE}{title}{_PLAIN}\n")
        sys.stdout.flush()
        begin = time.monotonic()
        work()
        self.say(f"({time.monotonic() - begin:.2f} s)")

    def say(self, text: str) -> None:
        """Tell something that was seen."""
        for line in text.strip("\n").splitlines():
            sys.stdout.write(f"         {line}\n")
        sys.stdout.flush()

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._begin


class Demo:
    """The steps, in order."""

    def __init__(self, lab: Lab, narrator: Narrator) -> None:
        self._lab = lab
        self._system = System(lab)
        self._narrator = narrator

    def play(self) -> None:
        """All of them."""
        step = self._narrator.step
        step("In the plant: a PLC that speaks Modbus TCP and has no gateway", self._system.start_plc)
        step("In the internet: gm init, gm serve", self._gatemanager)
        step("At the machine: sm enrol (with a claim), sm run", self._sitemanager)
        step("At the GateManager: the PLC, its services, a user, a grant", self._rights)
        step("On the PC: lm redeem (with an invitation), lm login", self._linkmanager)
        step("Not connected: the PC cannot reach the plant", self._unreachable)
        step("On the PC: lm connect", self._connect)
        step(f"An ordinary Modbus client polls the PLC at its own address {PLC_ADDRESS}", self._poll)
        step("What was not granted stays closed", self._denied)
        step("Latency and throughput, through two firewalls and the GateManager", self._measure)
        step("What the administrator sees", self._administration)
        step("On the PC: lm disconnect", self._disconnect)

    def _gatemanager(self) -> None:
        gm = self._system.gm
        gm.init()
        gm.start()
        for domain in ("acme", DOMAIN):
            gm.run("domains", "add", domain)
        self._narrator.say(f"appliance certificate: serial {gm.ask('status')['serial']}")

    def _sitemanager(self) -> None:
        system = self._system
        claim = system.gm.claim()
        self._narrator.say(f"claim: {claim[:40]}...")
        enrolled = system.sm.enrol(claim)
        self._narrator.say(enrolled.stdout + enrolled.stderr)
        system.sm.start()
        port = system.sm.wait_until_connected()
        self._narrator.say(f"connected to the GateManager by TCP port {port}, through the factory's firewall")

    def _rights(self) -> None:
        system = self._system
        system.add_device(DEVICE, PLC_ADDRESS, "modbus", "ping")
        system.gm.run("services", "add", DEVICE, "iperf", "--tcp", str(_IPERF_PORT))
        system.gm.run("users", "add", USER, "--domain", "acme")
        system.gm.run("grants", "add", USER, "--appliance", APPLIANCE, "--until", "+8h", "--reason", "commissioning")

    def _linkmanager(self) -> None:
        system = self._system
        invitation = system.gm.invite()
        self._narrator.say(f"invitation: {invitation[:40]}...")
        system.lm.start_service()
        self._narrator.say(system.lm.redeem(invitation).stdout)
        self._narrator.say(system.lm.login().stdout)
        self._narrator.say(system.lm.run("list").stdout)

    def _unreachable(self) -> None:
        self._show_routes()
        answer = self._ping(self._lab.pc, 1)
        self._narrator.say("ping: no answer" if answer is None else "ping: answers, which must not be")

    def _connect(self) -> None:
        self._narrator.say(self._system.lm.run("connect", APPLIANCE, "--reason", "demonstration").stdout)
        self._show_routes()

    def _poll(self) -> None:
        argv = ["--address", PLC_ADDRESS, "--polls", "10", "--period", "0.25"]
        client = self._lab.pc.start_module("lab.modbus_client", *argv)
        self._narrator.say("round trip: counter, tank level (0.1 %), temperature (0.1 degrees C), pump")
        if client.wait(30):
            raise LabError(f"the Modbus client failed: {client.log}")
        self._narrator.say(client.log)

    def _denied(self) -> None:
        for address, port, what in (
            (PLC_ADDRESS, 80, "another port of the PLC"),
            ("192.168.50.1", 22, "the SiteManager"),
        ):
            done = self._lab.pc.run(
                [sys.executable, "-c", f"import socket; socket.create_connection(({address!r}, {port}), 2)"],
                check=False,
            )
            reason = done.stderr.strip().splitlines()[-1] if done.returncode else "answers, which must not be"
            self._narrator.say(f"{what} ({address}:{port}): {reason.rpartition(':')[2].strip()}")

    def _measure(self) -> None:
        idle_ms = self._ping(self._lab.pc, 50)
        self._narrator.say(f"ping: {idle_ms} ms (median of 50)")
        server = self._lab.plant.start(["iperf3", "--server", "--bind", PLC_ADDRESS, "--forceflush"])
        server.wait_for_line("listening")
        for options, direction in (([], "PC to plant"), (["--reverse"], "plant to PC")):
            done = self._lab.pc.run(["iperf3", "--client", PLC_ADDRESS, "--time", "2", "--json", *options])
            bits = json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"]
            self._narrator.say(f"TCP {direction}: {bits / 1e9:.2f} Gbit/s")

    def _administration(self) -> None:
        self._narrator.say(self._system.gm.run("sessions", "list").stdout)
        self._narrator.say(self._system.gm.run("appliances", "list").stdout)

    def _disconnect(self) -> None:
        self._narrator.say(self._system.lm.run("disconnect", "--all").stdout)
        self._show_routes()

    def _show_routes(self) -> None:
        routes = self._lab.pc.run(["ip", "route"]).stdout
        self._narrator.say("routes of the PC:\n" + "".join(f"  {line}\n" for line in routes.splitlines()))

    def _ping(self, place: Place, count: int) -> str | None:
        argv = ["ping", "-n", "-c", str(count), "-i", "0.02", "-W", "1", PLC_ADDRESS]
        done = place.run(argv, check=False)
        times = sorted(float(found) for found in re.findall(r"time=([\d.]+)", done.stdout))
        return f"{times[len(times) // 2]:.2f}" if times else None


def main() -> int:
    """Play the demonstration; 0, or 1 with one line of what went wrong."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if not rights.is_root():
            rights.check()
            rights.run_with_rights([sys.executable, "-m", "lab.demo"])
        narrator = Narrator()
        with Lab() as lab:
            sys.stdout.write(
                "A PC, an office firewall, the internet, a factory firewall, a site and a plant, as namespaces.\n"
            )
            Demo(lab, narrator).play()
        left = namespaces.existing(lab.prefix)
        narrator.step("Cleaned up", lambda: narrator.say(f"left: {', '.join(left) or 'nothing'}"))
    except MissingRights as error:
        sys.stderr.write(f"demo: {error}\n")
        return 2
    except LabError as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    except KeyboardInterrupt:
        with suppress(LabError):
            Lab.clean()
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
