"""The firewalls close what they are told to, the proxy wants its login, the man in the middle hears everything."""

from __future__ import annotations

import base64
import datetime
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab import Firewall, Lab, LabError, MitmRelay, Place, Rules, knock, start_proxy
from lab.layout import GM_ADDRESS, GM_PORTS, GM_SECOND_ADDRESS

pytestmark = pytest.mark.netns

_SILENCE_S = 0.3

# Connects by TLS, sends a line, prints what comes back: ALPN and bytes.
_TLS_CLIENT = """
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.set_alpn_protocols(["gatelink-control/1", "other"])
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as plain:
    with context.wrap_socket(plain, server_hostname="gm.example") as tls:
        print(tls.selected_alpn_protocol())
        tls.sendall(b"secret")
        if len(sys.argv) > 3:
            print(tls.recv(100).decode())
"""


@pytest.fixture
def gm(module_lab: Lab) -> Place:
    """The internet, with something that answers on the GM's ports."""
    if not module_lab.internet.processes:
        ports = [word for port in GM_PORTS for word in ("--tcp", str(port))]
        module_lab.internet.start_module("lab.echo", *ports, "--udp", "53").wait_for_line("listens")
    return module_lab.internet


@pytest.fixture(params=["office", "factory"])
def firewall(request: pytest.FixtureRequest, module_lab: Lab, gm: Place) -> Iterator[Firewall]:
    found = module_lab.firewall(request.param)
    yield found
    found.open()


def inside(lab: Lab, firewall: Firewall) -> Place:
    return lab.pc if firewall.name == "office" else lab.site


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate and its key, as a man in the middle has them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody else")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 4711, now, now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "certificate.pem").write_bytes(made)
    (tmp_path / "key.pem").write_bytes(pem)
    return tmp_path / "certificate.pem", tmp_path / "key.pem"


@pytest.mark.parametrize(("how", "seen"), [("drop", "silent"), ("reject", "refused")])
def test_closed_ports_are_closed_and_no_others(module_lab: Lab, firewall: Firewall, how: str, seen: str) -> None:
    place = inside(module_lab, firewall)
    firewall.close_ports(11444, 443, how=how)  # type: ignore[arg-type]
    assert [knock(place, GM_ADDRESS, port, _SILENCE_S) for port in (11444, 443, 80)] == [seen, seen, "open"]
    firewall.close_ports(80)
    assert [knock(place, GM_ADDRESS, port, _SILENCE_S) for port in (11444, 443, 80)] == ["open", "open", "silent"]
    firewall.open()
    assert [knock(place, GM_ADDRESS, port) for port in GM_PORTS] == ["open"] * 3
    assert firewall.rules == Rules()


def test_connection_that_exists_ends_when_its_port_is_closed(module_lab: Lab, firewall: Firewall) -> None:
    place = inside(module_lab, firewall)
    script = (
        "import socket,sys\nc=socket.create_connection((sys.argv[1],443)); print('connected', flush=True)\n"
        "input()\nc.sendall(b'x')\ntry: c.recv(1)\nexcept ConnectionResetError: print('reset', flush=True)"
    )
    argv = place.argv([sys.executable, "-c", script, GM_ADDRESS])
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "connected\n"
        firewall.close_ports(443, how="reject")
        said, _ = client.communicate("go\n", timeout=5)
    assert said == "reset\n"


def test_nothing_gets_out_when_only_the_proxy_is_open(module_lab: Lab, firewall: Firewall) -> None:
    place = inside(module_lab, firewall)
    firewall.allow_only_proxy()
    assert [knock(place, GM_ADDRESS, port, _SILENCE_S) for port in GM_PORTS] == ["silent"] * 3
    firewall.allow_only_proxy("reject")
    assert [knock(place, GM_ADDRESS, port, _SILENCE_S) for port in GM_PORTS] == ["refused"] * 3
    assert place.run(["ping", "-c1", "-W0.3", GM_ADDRESS], check=False).returncode == 1


def through_proxy(place: Place, address: str, port: int, target: str, login: str | None) -> str:
    """The proxy's status line, and the echo of what is sent behind it."""
    script = (
        "import socket,sys\ns=socket.create_connection((sys.argv[1],int(sys.argv[2])),5)\n"
        "s.sendall(sys.argv[3].encode()); head=b''\n"
        "while b'\\r\\n\\r\\n' not in head:\n  more=s.recv(4096)\n  if not more: break\n  head+=more\n"
        "print(head.split(b'\\r\\n')[0].decode())\n"
        "if b' 200 ' in head.split(b'\\r\\n')[0]: s.sendall(b'hello'); print(s.recv(10).decode())"
    )
    request = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
    if login:
        request += f"Proxy-Authorization: Basic {base64.b64encode(login.encode()).decode()}\r\n"
    return place.run([sys.executable, "-c", script, address, str(port), request + "\r\n"]).stdout


def test_proxy_lets_through_who_has_the_login(module_lab: Lab, firewall: Firewall) -> None:
    place = inside(module_lab, firewall)
    proxy = start_proxy(module_lab, firewall.name, "gate", "keeper")
    firewall.allow_only_proxy()
    for port in GM_PORTS:
        said = through_proxy(place, proxy.address, proxy.port, f"{GM_ADDRESS}:{port}", "gate:keeper")
        assert " 200 " in said
        assert said.endswith("hello\n")
    assert " 407 " in through_proxy(place, proxy.address, proxy.port, f"{GM_ADDRESS}:443", None)
    assert " 401 " in through_proxy(place, proxy.address, proxy.port, f"{GM_ADDRESS}:443", "gate:wrong")
    assert " 403 " in through_proxy(place, proxy.address, proxy.port, f"{GM_ADDRESS}:22", "gate:keeper")
    assert proxy.url == f"http://gate:keeper@{proxy.address}:3128"
    proxy.process.terminate()


def test_proxy_is_refused_when_the_place_is_no_firewall(module_lab: Lab) -> None:
    with pytest.raises(LabError, match="no firewall 'pc'"):
        start_proxy(module_lab, "pc")


@pytest.mark.parametrize("port", GM_PORTS)
@pytest.mark.parametrize("address", [GM_ADDRESS, GM_SECOND_ADDRESS])
def test_man_in_the_middle_hears_what_is_sent(
    module_lab: Lab, firewall: Firewall, certificate: tuple[Path, Path], address: str, port: int
) -> None:
    place = inside(module_lab, firewall)
    with MitmRelay(module_lab, firewall.name, *certificate) as mitm:
        said = place.run([sys.executable, "-c", _TLS_CLIENT, address, str(port)]).stdout
        heard = mitm.wait_for_conversation()
    assert said.split() == ["gatelink-control/1"]
    assert heard.received == b"secret"
    assert (heard.target, heard.server_name) == (f"{address}:{port}", "gm.example")
    assert (heard.offered, heard.alpn) == (["gatelink-control/1", "other"], "gatelink-control/1")
    assert heard.handshake_done
    assert firewall.rules.detour_port is None


def test_man_in_the_middle_tells_when_the_client_does_not_trust_him(
    module_lab: Lab, certificate: tuple[Path, Path], gm: Place
) -> None:
    trusting = _TLS_CLIENT.replace("False, ssl.CERT_NONE", "False, ssl.CERT_REQUIRED")
    with MitmRelay(module_lab, "office", *certificate) as mitm:
        assert module_lab.pc.run([sys.executable, "-c", trusting, GM_ADDRESS, "443"], check=False).returncode
        heard = mitm.wait_for_conversation()
    assert (heard.handshake_done, heard.received) == (False, b"")
    assert "alert" in (heard.ended or "").lower()


def test_man_in_the_middle_carries_on_to_the_gm_when_told_to(
    module_lab: Lab, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    server = (
        "import socket,ssl,sys\nc=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); c.load_cert_chain(*sys.argv[1:3])\n"
        "c.set_alpn_protocols(['gatelink-control/1'])\ns=socket.create_server(('',4433)); print('ready', flush=True)\n"
        "t=c.wrap_socket(s.accept()[0],server_side=True)\nt.sendall(b'got '+t.recv(100)); t.recv(1)"
    )
    module_lab.internet.start([sys.executable, "-c", server, *certificate]).wait_for_line("ready")
    # The server stands beside the echo: what goes to port 443 is led to it, behind the man in the middle.
    module_lab.internet.run(
        ["nft", "-f", "-"],
        stdin_text=(
            "table ip beside { chain c {"
            " type nat hook prerouting priority dstnat; tcp dport 443 redirect to :4433; }; }"
        ),
    )
    try:
        with MitmRelay(module_lab, "office", *certificate, forward=True) as mitm:
            said = module_lab.pc.run([sys.executable, "-c", _TLS_CLIENT, GM_ADDRESS, "443", "wait"]).stdout
            heard = mitm.wait_for_conversation()
    finally:
        module_lab.internet.run(["nft", "delete", "table", "ip", "beside"])
    assert "got secret" in said
    assert (heard.received, heard.answered) == (b"secret", b"got secret")


def test_something_that_is_no_tls_ends_the_conversation(module_lab: Lab, certificate: tuple[Path, Path]) -> None:
    script = "import socket,sys; s=socket.create_connection((sys.argv[1],80)); s.sendall(b'GET / HTTP/1.1'); s.recv(9)"
    with MitmRelay(module_lab, "office", *certificate) as mitm:
        module_lab.pc.run([sys.executable, "-c", script, GM_ADDRESS], check=False)
        heard = mitm.wait_for_conversation()
    assert not heard.handshake_done
    assert heard.offered == []
