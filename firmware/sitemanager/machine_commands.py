"""Commands of ``sm`` about what is at the machine: devices, serial ports, diagnosis. Imports late, as ``cli`` does."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core.local import LocalAnswer


def add_commands(commands: Any, places: argparse.ArgumentParser) -> None:
    """Add them to the parser."""
    for name, command, words in (
        ("devices", _devices, "the devices that are checked: green or red"),
        ("serial", _serial, "the serial ports"),
        ("doctor", _doctor, "what works and what does not, from the cable to each device, and what to do"),
        ("scan", _scan, "look for devices at the machine side: some seconds, read-only"),
    ):
        parser = commands.add_parser(name, parents=[places], help=words)
        parser.add_argument("--json", action="store_true", help="for programs")
        parser.set_defaults(command=command)
        if name == "doctor":
            parser.add_argument("--letter", action="store_true", help="the letter to the IT department")

    capture = commands.add_parser("capture", parents=[places], help="record packets of the machine side")
    capture.add_argument("file", help="a pcap file for Wireshark; - for standard output")
    capture.add_argument("--seconds", type=float, default=10.0, help="0.1 to 60 (default 10); ends earlier at 2 MiB")
    capture.add_argument("--interface", default="", help="default: the first of the machine side")
    capture.set_defaults(command=_capture)


def _capture(options: argparse.Namespace) -> None:
    from pathlib import Path

    from gatelink.exceptions import InputError

    from .core.capture import CaptureAnswer, CaptureRequest
    from .logs import report
    from .services.local_client import ask

    if not 0.1 <= options.seconds <= 60:
        raise InputError(f"a capture takes 0.1 to 60 seconds, got {options.seconds:g}")
    request = CaptureRequest(seconds=options.seconds, interface=options.interface)
    answer = ask(options.runtime, request, CaptureAnswer, timeout_s=options.seconds + 15)
    if options.file == "-":
        sys.stdout.buffer.write(answer.pcap)
    else:
        try:
            Path(options.file).write_bytes(answer.pcap)
        except OSError as error:
            raise InputError(f"cannot write {options.file}: {error.strerror}") from None
    report(f"{answer.frames} packets{'; the file is full, there were more' if answer.full else ''}")


def _devices(options: argparse.Namespace) -> None:
    from .core.device_requests import DevicesAnswer, DevicesRequest
    from .services.local_client import ask

    answer = ask(options.runtime, DevicesRequest(), DevicesAnswer)
    words = {True: "green", False: "RED", None: "-"}
    rows = [(device.address, words[device.reachable], device.check, device.text) for device in answer.devices]
    _show(options, answer, rows, "the GateManager named no devices to check")


def _serial(options: argparse.Namespace) -> None:
    from .core.serial_requests import SerialPortsAnswer, SerialPortsRequest
    from .services.local_client import ask

    answer = ask(options.runtime, SerialPortsRequest(), SerialPortsAnswer)
    rows = [
        (port.name, port.path or "not plugged in", port.settings, port.text, f"used by {port.used_by}")
        if port.used_by
        else (port.name, port.path or "not plugged in", port.settings, port.text)
        for port in answer.ports
    ]
    _show(options, answer, rows, "no serial port was found; USB adapters and the board's own ports would be here")


def _scan(options: argparse.Namespace) -> None:
    from .core.scan_requests import ScanAnswer, ScanRequest
    from .services.local_client import ask

    answer = ask(options.runtime, ScanRequest(), ScanAnswer, timeout_s=120.0)
    rows = [
        (
            device.address or device.mac,
            " ".join(filter(None, (device.vendor, device.model))) or "?",
            device.name,
            f"by {', '.join(device.protocols)}" + (f"; preset {device.preset}" if device.preset else ""),
        )
        for device in answer.found
    ]
    _show(options, answer, rows, "nobody answered at the machine side")
    if answer.text and not options.json:
        sys.stdout.write(f"note: {answer.text}\n")


def _doctor(options: argparse.Namespace) -> int:
    from .core.diagnosis import DoctorAnswer, DoctorRequest, finding_rows
    from .services.local_client import ask

    answer = ask(options.runtime, DoctorRequest(), DoctorAnswer, timeout_s=70.0)
    if options.json:
        _show(options, answer, (), "")
    elif options.letter:
        sys.stdout.write(answer.letter)
    else:
        from .logs import printable

        sys.stdout.write("".join(f"{printable(row)}\n" for row in finding_rows(answer.findings)))
        sys.stdout.write("\nA letter to the IT department, with exactly what to open: sm doctor --letter\n")
    return int(any(finding.verdict == "fault" for finding in answer.findings))


def _show(options: argparse.Namespace, answer: LocalAnswer, rows: Sequence[Sequence[str]], empty: str) -> None:
    """Print an answer: JSON, or a table without a frame."""
    if options.json:
        import msgspec

        sys.stdout.write(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode() + "\n")
        return
    from .logs import printable

    widths = [max(map(len, column)) for column in zip(*(row[:3] for row in rows), strict=True)] if rows else []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        sys.stdout.write(printable("  ".join([*cells, *row[len(widths) :]]).rstrip()) + "\n")
    if not rows:
        sys.stdout.write(f"{empty}\n")
