"""What firewalls leave open the parties find: other ports, other addresses, proxies; and they go back when they can."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab, Proxy, start_proxy, wait_until
from lab.layout import GM_ADDRESS, GM_SECOND_ADDRESS
from lab.products import APPLIANCE, LinkManager, SiteManager, System
from netns.link_use import poll, ports_in_use, restart, session, wait_for_port

pytestmark = pytest.mark.netns

_LINK_SETTINGS = ("[link]", "probe_s = 1.0", "backoff_longest_s = 1.0")


@pytest.fixture(scope="module")
def system(module_lab: Lab) -> System:
    """Everybody connected; a lost connection is noticed within 3 s, and a better way is looked for every second."""
    system = System(module_lab)
    system.gm.init()
    system.gm.configure("keepalive_s", 1.0)
    for key in ("probe_s", "backoff_longest_s"):
        system.sm.run("config", "set", key, "1")
    system.lm.configure(*_LINK_SETTINGS)
    return system.__enter__()


@pytest.fixture(autouse=True)
def _everything_open(system: System) -> Iterator[None]:
    """Each test begins with everything open and the SM connected."""
    yield
    for name in ("factory", "office"):
        system.lab.firewall(name).open()
    wait_for_port(system.gm, 11444)


@pytest.fixture(scope="module")
def factory_proxy(module_lab: Lab) -> Proxy:
    return start_proxy(module_lab, "factory", "gate", "Kept-for-gates")


@pytest.fixture(scope="module")
def office_proxy(module_lab: Lab) -> Proxy:
    return start_proxy(module_lab, "office", "gate", "Kept-for-gates")


def proxy_setting(proxy: Proxy, **changes: str) -> dict[str, object]:
    """As it stands in the SiteManager's configuration."""
    known = {"host": proxy.address, "port": proxy.port, "username": proxy.user, "password": proxy.password}
    return {**known, **changes}


def log_in_again(lm: LinkManager, *settings: str) -> None:
    """Log in with these settings."""
    lm.run("logout", check=False)
    lm.configure(*settings)
    lm.login()


@pytest.mark.parametrize(("closed", "left"), [((11444,), 443), ((11444, 443), 80)])
def test_sm_takes_the_next_port_and_goes_back_when_a_firewall_closes_ports_for_a_while(
    system: System, closed: tuple[int, ...], left: int
) -> None:
    sm, factory = system.sm, system.lab.firewall("factory")
    assert sm.process is not None
    before = len(sm.process.lines)
    factory.close_ports(*closed)
    assert sm.wait_until_connected(60, after=before) == left
    wait_for_port(system.gm, left)
    assert sm.ask("status")["way"] == f"{GM_ADDRESS}:{left}"
    with session(system.lm):
        poll(system.lab.pc)
        assert ports_in_use(sm.place) == {left}
        before = len(sm.process.lines)
        factory.open()
        # By a worse port first, if it was just about to try that one.
        sm.process.wait_for_line(r"connected to \S+ port 11444 as", 30, after=before)
        wait_for_port(system.gm, 11444)
        assert sm.ask("status")["way"] == f"{GM_ADDRESS}:11444"
        # Its leg is a connection of its own, and stays where it is.
        poll(system.lab.pc)
        assert ports_in_use(sm.place) == {11444, left}


def test_sm_prefers_the_port_that_its_configuration_names_first(system: System) -> None:
    restart(system.sm, ports=[80, 11444])
    try:
        assert system.sm.wait_until_connected() == 80
        with session(system.lm):
            poll(system.lab.pc)
    finally:
        restart(system.sm, ports=[11444, 443, 80])
    assert system.sm.wait_until_connected() == 11444


def test_sm_enrols_when_port_80_is_all_that_is_open(system: System) -> None:
    site, _ = system.lab.add_site()
    newcomer = SiteManager(system.lab, site)
    system.lab.firewall("factory2").close_ports(11444, 443, how="reject")
    newcomer.enrol(system.gm.claim(name="newcomer"))
    newcomer.start()
    assert newcomer.wait_until_connected() == 80
    wait_for_port(system.gm, 80, "acme/line3/newcomer")


def test_session_works_through_a_proxy_when_the_factory_has_no_other_way_out(
    system: System, factory_proxy: Proxy
) -> None:
    sm = system.sm
    system.lab.firewall("factory").allow_only_proxy()
    restart(sm, proxies=[proxy_setting(factory_proxy)])
    try:
        assert sm.wait_until_connected(60) == 11444
        wait_for_port(system.gm, 11444)
        through = f"{GM_ADDRESS}:11444 through the proxy {factory_proxy.address}:{factory_proxy.port}"
        assert sm.ask("status")["way"] == through
        assert through in sm.run("status").stdout
        with session(system.lm):
            poll(system.lab.pc)
            # Control connection and leg; nothing goes past the proxy.
            asked = [line for line in factory_proxy.process.lines if f"CONNECT {GM_ADDRESS}:11444" in line]
            assert len(asked) == 2
            assert ports_in_use(sm.place) == set()
            # The proxy is the last choice: as soon as there is a direct way it is taken.
            assert sm.process is not None
            before = len(sm.process.lines)
            system.lab.firewall("factory").open()
            sm.process.wait_for_line(r"connected to \S+ port 11444 as", 30, after=before)
            assert sm.ask("status")["way"] == f"{GM_ADDRESS}:11444"
            poll(system.lab.pc)
    finally:
        restart(sm, proxies=[])


@pytest.mark.parametrize(
    ("login", "said"),
    [
        ({"password": "Not-for-gates"}, "refused the user name and password"),
        ({"username": "", "password": ""}, "asks for a user name and password"),
    ],
)
def test_sm_says_what_the_proxy_wants_when_its_login_is_wrong(
    system: System, factory_proxy: Proxy, login: dict[str, str], said: str
) -> None:
    sm = system.sm
    system.lab.firewall("factory").allow_only_proxy("reject")
    restart(sm, proxies=[proxy_setting(factory_proxy, **login)])
    try:
        assert sm.process is not None
        sentence = f"the proxy {factory_proxy.address}:{factory_proxy.port} {said}"
        sm.process.wait_for_line(f"no connection: .*{sentence}")
        assert sentence in sm.ask("status")["lost_reason"]
        assert "Not-for-gates" not in sm.process.log + sm.run("status").stdout + sm.run("config", "show").stdout
        # Whoever corrects it is connected.
        restart(sm, proxies=[proxy_setting(factory_proxy)])
        sm.wait_until_connected()
    finally:
        restart(sm, proxies=[])


def test_lm_uses_port_443_alone_unless_told_otherwise(system: System) -> None:
    lm, office = system.lm, system.lab.firewall("office")
    assert lm.ask("status")["way"] == f"{GM_ADDRESS}:443"
    with session(lm):
        poll(system.lab.pc)
        assert ports_in_use(system.lab.pc) == {443}
    office.close_ports(443, how="reject")
    lm.run("logout")
    refused = lm.login(check=False)
    assert refused.returncode == 1
    assert refused.stderr == f"lm: cannot reach {GM_ADDRESS}:443: Connection refused\n"
    log_in_again(lm, *_LINK_SETTINGS, "ports = [443, 80]")
    try:
        assert lm.ask("status")["way"] == f"{GM_ADDRESS}:80"
        with session(lm):
            poll(system.lab.pc)
            assert ports_in_use(system.lab.pc) == {80}
            office.open()
            wait_until(lambda: lm.ask("status")["way"] == f"{GM_ADDRESS}:443", 20, "lm to go back to port 443")
            poll(system.lab.pc)
    finally:
        office.open()
        log_in_again(lm, *_LINK_SETTINGS)


def test_session_works_through_a_proxy_when_the_office_has_no_other_way_out(
    system: System, office_proxy: Proxy
) -> None:
    lm = system.lm
    system.lab.firewall("office").allow_only_proxy("reject")
    where = ("[[link.proxies]]", f'host = "{office_proxy.address}"', f"port = {office_proxy.port}")
    try:
        lm.run("logout")
        lm.configure(*where, 'username = "gate"', 'password = "Not-for-gates"')
        refused = lm.login(check=False)
        assert refused.returncode == 1
        said = f"the proxy {office_proxy.address}:{office_proxy.port} refused the user name and password"
        assert said in refused.stderr
        assert "Not-for-gates" not in refused.stderr + lm.log
        log_in_again(lm, *where, 'username = "gate"', f'password = "{office_proxy.password}"')
        through = f"{GM_ADDRESS}:443 through the proxy {office_proxy.address}:{office_proxy.port}"
        assert lm.ask("status")["way"] == through
        assert through in lm.run("status").stdout
        with session(lm):
            poll(system.lab.pc)
            assert ports_in_use(system.lab.pc) == set()
    finally:
        system.lab.firewall("office").open()
        log_in_again(lm, *_LINK_SETTINGS)


def test_both_use_the_second_address_when_nobody_answers_at_the_first(system: System) -> None:
    lab, gm, sm = system.lab, system.gm, system.sm
    pc = lab.add_pc()
    newcomer = LinkManager(lab, pc)
    gm.configure("addresses", [GM_SECOND_ADDRESS, GM_ADDRESS])
    lab.internet.run(["ip", "address", "delete", f"{GM_SECOND_ADDRESS}/32", "dev", "lo"])
    try:
        lab.internet.run(["ip", "route", "add", "unreachable", GM_SECOND_ADDRESS])
        newcomer.redeem(gm.invite())
        newcomer.start_service()
        lab.internet.run(["ip", "route", "replace", "blackhole", GM_SECOND_ADDRESS])
        newcomer.login()
        assert newcomer.ask("status")["way"] == f"{GM_ADDRESS}:443"
        restart(sm, gm_addresses=[GM_SECOND_ADDRESS, GM_ADDRESS])
        sm.wait_until_connected()
        assert sm.ask("status")["way"] == f"{GM_ADDRESS}:11444"
        with session(newcomer, APPLIANCE):
            poll(pc)
            assert sm.process is not None
            before = len(sm.process.lines)
            lab.internet.run(["ip", "route", "delete", "blackhole", GM_SECOND_ADDRESS])
            lab.internet.run(["ip", "address", "add", f"{GM_SECOND_ADDRESS}/32", "dev", "lo"])
            sm.process.wait_for_line(f"connected to {GM_SECOND_ADDRESS} port 11444", 30, after=before)
            poll(pc)
    finally:
        gm.configure("addresses", [GM_ADDRESS])
        restart(sm, gm_addresses=[GM_ADDRESS])
