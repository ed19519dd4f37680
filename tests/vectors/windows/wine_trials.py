"""What ``wine.py`` tries: pipes of two processes, the whole service over a pipe, frames by overlapped I/O, routes."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from ctypes import byref, c_int32, c_uint32, c_void_p
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final, cast
from unittest import mock

import pytest

from gatelink.exceptions import GatelinkError
from gatelink.identity import self_signed, to_pem
from gatelink.messages import TunnelAddresses
from gatelink.tunnel.fake import FakeTap
from gatelink.tunnel.portable_pump import PortablePump
from gatelink.tunnel.pump import EndReason, Pump
from lm_client.agent.adapter import Plan, open_adapter
from lm_client.exceptions import HostError, ServiceError
from lm_client.host.fake import FakeNames, FakeNetwork
from lm_client.host.windows.callers import WindowsCallers
from lm_client.host.windows.dlls import PROTOTYPES, Prototype
from lm_client.host.windows.ip_helper import IpHelper
from lm_client.host.windows.tap_device import TapDevice
from lm_client.service.listener import Listener
from lm_client.streams import pipe
from vectors.windows.wine import Process, RemoteSecurity, processes

# Used by this file alone: the end of a pipe of messages that is to read messages, too.
cast("dict[str, Prototype]", PROTOTYPES["kernel32"])["SetNamedPipeHandleState"] = (
    c_int32,
    (c_void_p, c_void_p, c_void_p, c_void_p),
)
NAME: Final = pipe.PREFIX + "gatelink-lm-trial"
OWNERS: Final = frozenset({"S-1-5-21-0-0-0-513"})
"""Wine lets a group own what a user makes; on Windows it is the user, or the administrators."""
_DEADLINE_S: Final = 30.0


def windows_of(process: Process) -> pipe.Windows:
    """Return the DLLs of a process of Wine."""
    found = pipe.Windows(process.dll("kernel32"), process.dll("advapi32"))
    found.security = RemoteSecurity(process)
    return found


def connected(
    server: Process, client: Process, name: str
) -> tuple[pipe.PipeEndpoint, pipe.PipeStream, pipe.PipeStream]:
    """Return an endpoint and both ends of a stream."""
    endpoint = pipe.PipeEndpoint(name, for_everybody=True, windows=windows_of(server))
    accepted: list[pipe.PipeStream] = []
    thread = threading.Thread(target=lambda: accepted.append(endpoint.accept()))
    thread.start()
    owners = OWNERS
    near = pipe.connect(name, _DEADLINE_S, owners, windows_of(client))
    thread.join(_DEADLINE_S)
    return endpoint, accepted[0], near


def try_pipe(server: Process, client: Process) -> None:
    """Both directions, who is there, time-outs, hanging up, a name that is taken."""
    endpoint, far, near = connected(server, client, NAME)
    assert far.caller == windows_of(client).security.own_sid(), far.caller
    near.sendall(b"question")
    assert far.recv(100) == b"question"
    far.sendall(b"answer")
    assert near.recv(100) == b"answer"
    near.settimeout(0.2)
    with contextlib.suppress(TimeoutError):
        near.recv(1)
        raise AssertionError("expected a time-out")
    assert near.is_alive()
    assert far.is_alive()
    try:
        pipe.PipeEndpoint(NAME, for_everybody=True, windows=windows_of(client)).close()
        sys.stdout.write("    FILE_FLAG_FIRST_PIPE_INSTANCE is not looked at: the name could be made twice\n")
    except BlockingIOError:
        sys.stdout.write("    the name could not be made twice\n")
    waiting: list[bytes] = []
    thread = threading.Thread(target=lambda: waiting.append(far.recv(1)))
    thread.start()
    far.hang_up()
    thread.join(_DEADLINE_S)
    assert waiting == [b""]
    far.close()
    assert not near.is_alive()
    assert near.recv(1) == b""
    near.close()
    closing = threading.Thread(target=lambda: _refused(endpoint.accept))
    closing.start()
    endpoint.close()
    closing.join(_DEADLINE_S)
    assert not closing.is_alive()
    with contextlib.suppress(FileNotFoundError):
        pipe.connect(NAME, 1.0, windows=windows_of(client))
        raise AssertionError("the pipe is still there")


def try_big_messages(server: Process, client: Process) -> None:
    """More than the pipe's buffer holds."""
    endpoint, far, near = connected(server, client, NAME + "-big")
    assert far.caller
    data = bytes(range(256)) * 800
    thread = threading.Thread(target=lambda: near.sendall(data))
    thread.start()
    found = b""
    while len(found) < len(data):
        found += far.recv(64 * 1024)
    thread.join(_DEADLINE_S)
    assert found == data
    for each in (near, far):
        each.close()
    endpoint.close()


def try_service(server: Process, client: Process) -> None:
    """``Listener`` and the agent's ``open_adapter``, with a handle that is handed over and used there."""
    name = NAME + "-service"
    said: list[str] = []
    network = FakeNetwork()
    # In the place of an adapter's handle: one end of a pipe; what the agent writes to it comes out here.
    device, wire = _device_pair(server, NAME + "-tap")
    owners = OWNERS

    def listen(_path: Path, *, for_everybody: bool) -> pipe.PipeEndpoint:
        return pipe.PipeEndpoint(name, for_everybody=for_everybody, windows=windows_of(server))

    def connect(_path: Path, timeout_s: float | None = None) -> pipe.PipeStream:
        return pipe.connect(name, timeout_s, owners, windows_of(client))

    with (
        mock.patch("lm_client.service.listener.listen", listen),
        mock.patch("lm_client.agent.adapter.connect", connect),
        mock.patch("lm_client.host.fake.FakeAdapter.descriptor", device.handle),
        mock.patch("lm_client.host.here.close_tap", lambda _number, tap: tap and tap.close()),
    ):
        listener = Listener(Path(name), network, FakeNames(), WindowsCallers(), said.append)
        running = threading.Thread(target=listener.run)
        running.start()
        addresses = TunnelAddresses(pc="198.18.0.2", gateway="198.18.0.1", prefix_length=30)
        plan = Plan(("192.168.50.10",))
        adapter = open_adapter(
            Path(name), "press", addresses, plan, lambda number: TapDevice(client.dll("kernel32"), number, "handed")
        )
        assert isinstance(adapter.tap, TapDevice)
        assert adapter.tap.write_frame(memoryview(b"x" * 60)) == 60
        view = memoryview(bytearray(2000))
        assert wire.read_frame(view) == 60
        assert adapter.change_routes(Plan(("192.168.50.10", "192.168.50.11"))) == ()
        assert [str(each) for each in network.adapters["gl0"].devices] == ["192.168.50.10", "192.168.50.11"]
        with pytest.raises(ServiceError, match="unicast"):
            adapter.change_routes(Plan(("224.0.0.1",)))
        assert not network.adapters
        adapter.close()
        listener.close()
        running.join(_DEADLINE_S)
        assert not running.is_alive()
    assert said[1].startswith("S-1-5-"), said
    assert said[1].endswith("connected"), said


def try_tunnel(server: Process, _client: Process) -> None:
    """The portable pump with ``TapDevice``, a message pipe in the place of the driver; the pump of Linux far away."""
    device, wire = _device_pair(server, NAME + "-frames")
    near, far = _tls_pair()
    far_tap = FakeTap()
    pump, far_pump = PortablePump(device, near), Pump(far_tap, far)
    ends: list[Any] = []
    threads = [threading.Thread(target=lambda each=each: ends.append(each.run())) for each in (pump, far_pump)]
    for thread in threads:
        thread.start()
    view = memoryview(bytearray(70_000))
    for size in (14, 60, 1514, 9000):
        wire.write_frame(memoryview(b"u" * size))
        assert far_tap.host.recv(70_000) == b"u" * size
        far_tap.host.send(b"d" * size)
        assert wire.read_frame(view) == size
        assert bytes(view[:size]) == b"d" * size
    pump.stop("enough")
    for thread in threads:
        thread.join(_DEADLINE_S)
    assert {end.reason for end in ends} == {EndReason.STOPPED, EndReason.FAR_END}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("reader")]
    wire.close()
    near_again, far_again = _tls_pair()
    gone = PortablePump(device, near_again)
    far_pump = Pump(far_tap, far_again)
    threading.Thread(target=far_pump.run).start()
    assert gone.run().reason is EndReason.TAP_GONE
    far_tap.close()
    device.close()


def try_routes(server: Process, _client: Process) -> None:
    """The IP Helper API as far as Wine has it."""
    helper = IpHelper(server.dll("iphlpapi"))
    routes = helper.routes()
    assert any(str(route.destination) == "127.0.0.0/8" for route in routes) or routes, routes
    sys.stdout.write("".join(f"    {route}\n" for route in routes))
    for what, call in (
        ("CreateUnicastIpAddressEntry", lambda: helper.set_address(1, IPv4Address("198.18.0.2"))),
        ("CreateIpNetEntry2", lambda: helper.set_neighbour(1, IPv4Address("198.18.0.1"))),
        ("CreateIpForwardEntry2", lambda: helper.set_routes(1, IPv4Address("198.18.0.1"), [], {})),
        ("GetUnicastIpAddressTable", lambda: helper.addresses(1)),
    ):
        try:
            sys.stdout.write(f"    {what}: {call()}\n")
        except HostError as error:
            sys.stdout.write(f"    {what}: {error}\n")


def _device_pair(process: Process, name: str) -> tuple[TapDevice, TapDevice]:
    """Two ends of a pipe of messages: one frame a call, as the driver does it."""
    kernel32 = process.dll("kernel32")
    server = kernel32.CreateNamedPipeW(name, 0x3 | 0x40000000, 0x4 | 0x2, 1, 1 << 18, 1 << 18, 0, None)
    client = kernel32.CreateFileW(name, 0xC0000000 | 0x100, 0, None, 3, 0x40000000, None)
    assert kernel32.SetNamedPipeHandleState(client, byref(c_uint32(2)), None, None)
    return TapDevice(kernel32, server, "one"), TapDevice(kernel32, client, "other")


def _tls_pair() -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    identity = self_signed("end", datetime.datetime.now(datetime.UTC), 1)
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with tempfile.NamedTemporaryFile() as file:
        file.write(to_pem(identity))
        file.flush()
        server.load_cert_chain(file.name)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    accepted: list[ssl.SSLSocket] = []
    thread = threading.Thread(target=lambda: accepted.append(server.wrap_socket(far, server_side=True)))
    thread.start()
    connected_end = client.wrap_socket(near)
    thread.join(_DEADLINE_S)
    return connected_end, accepted[0]


def _refused(call: Callable[[], object]) -> None:
    with contextlib.suppress(OSError):
        call()
        raise AssertionError("expected a refusal")


def run() -> int:
    """Try all; return how many failed."""
    failed = 0
    with processes(2) as (server, client):
        for trial in (try_pipe, try_big_messages, try_service, try_tunnel, try_routes):
            try:
                trial(server, client)
                sys.stdout.write(f"ok      {trial.__name__}\n")
            except (AssertionError, GatelinkError, OSError, EOFError, RuntimeError) as error:
                failed += 1
                sys.stdout.write(f"FAILED  {trial.__name__}: {error!r}\n")
                traceback.print_exc()
            sys.stdout.flush()
    return failed
