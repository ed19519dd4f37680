"""The ways out on the set-up page: a technician with a phone at the machine-side port of a connected unit."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, Playwright, expect

from browser.technician import PASSWORD, PHONE, URL, Unit, Watcher, chromium_at, unit
from lab import Process, wait_until

pytestmark = [pytest.mark.netns, pytest.mark.slow, pytest.mark.timeout(600)]
PATIENT_S = 60.0
STAY_MS = 60_000
SHORT_TRIAL_S = 4.0
NAME = "gm.acme.example"
"""Known to the site's name server alone."""


@pytest.fixture(scope="module")
def found() -> Iterator[Unit]:
    with unit(trial_s=90) as made:
        made.sm.enrol(made.gm.claim())
        wait_until_connected(made, 0)
        yield made


@pytest.fixture(scope="module")
def chromium(found: Unit, playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium_at(found.laptop, playwright, tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture(scope="module")
def page(found: Unit, chromium: Browser) -> Iterator[Page]:
    """Logged in with the label's secret and a password of his own, on a phone; the page complains of nothing."""
    context = chromium.new_context(viewport=PHONE, ignore_https_errors=True)
    watcher = Watcher(context)
    page = context.new_page()
    page.goto(URL)
    page.get_by_label("Secret on the label").fill(found.secret)
    page.get_by_role("button", name="Log in").click()
    page.get_by_label("New password", exact=False).first.fill(PASSWORD)
    page.get_by_label("New password again").fill(PASSWORD)
    page.get_by_role("button", name="Choose this password").click()
    expect(page.get_by_role("heading", name="press")).to_be_visible(timeout=STAY_MS)
    yield page
    context.close()
    assert watcher.complaints == []


def wait_until_connected(found: Unit, after: int) -> None:
    assert found.sm.process is not None
    found.sm.process.wait_for_line("connected to .* port", PATIENT_S, after=after)


def addresses(found: Unit, interface: str = "eth0") -> set[str]:
    listed = json.loads(found.sm.place.run(["ip", "-j", "-4", "address", "show", "dev", interface]).stdout)
    return {f"{entry['local']}/{entry['prefixlen']}" for link in listed for entry in link.get("addr_info", ())}


def source_of_link(found: Unit) -> str:
    """The address from which the SiteManager is connected."""
    listed = found.sm.place.run(["ss", "-Htn", "state", "established", "dst", "203.0.113.10"]).stdout
    return listed.split()[2].rpartition(":")[0] if listed.split() else ""


def settings(page: Page, heading: str) -> Locator:
    """The opened form of one way out."""
    page.goto(f"{URL}/uplinks")
    card = page.locator("section.card").filter(has=page.get_by_role("heading", name=heading))
    card.locator("summary").click()
    return card


def give(card: Locator, address: str, gateway: str) -> None:
    card.locator("select[name=origin]").select_option("fixed")
    card.get_by_label("Own address with its prefix").fill(address)
    card.get_by_label("Gateway").fill(gateway)
    card.get_by_role("button", name="Try this").click()


def keep(page: Page) -> None:
    """The button waits for the GateManager by itself."""
    button = page.get_by_role("button", name="Keep the change", exact=True)
    expect(button).to_be_enabled(timeout=STAY_MS)
    button.click()
    expect(page.get_by_text("The change is kept.")).to_be_visible(timeout=STAY_MS)


def tile(page: Page, name: str) -> Locator:
    return page.locator("section.tile").filter(has_text=name)


def test_machine_sides_network_is_refused_with_the_reason_and_what_was_typed_stays(found: Unit, page: Page) -> None:
    """The configured one (10.0.0.1/24), and the one that the port has from somewhere else (192.168.50.0/24)."""
    before = addresses(found)
    card = settings(page, "eth0")
    expect(card.get_by_label("Own address with its prefix")).to_be_hidden()
    give(card, "10.0.0.7/24", "10.0.0.2")
    expect(page.get_by_role("alert")).to_contain_text("10.0.0.0/24 is the machine side's network as well")
    expect(card.get_by_label("Own address with its prefix")).to_have_value("10.0.0.7/24")
    give(card, "192.168.50.7/24", "192.168.50.2")
    expect(page.get_by_role("alert")).to_contain_text("192.168.50.0/24 is the machine side's network as well (eth1)")
    give(card, "10.20.1.7/24", "10.20.2.1")
    expect(page.get_by_role("alert")).to_contain_text("10.20.2.1 is not another address in 10.20.1.0/24")
    assert addresses(found) == before
    assert "uplinks" not in found.sm.run("config", "show").stdout


def test_address_is_changed_and_kept_when_the_gatemanager_is_reached_with_it(found: Unit, page: Page) -> None:
    card = settings(page, "eth0")
    card.get_by_label("Name", exact=False).first.fill("office")
    give(card, "10.20.1.77/24", "10.20.1.1")
    keep(page)
    assert "10.20.1.77/24" in addresses(found)
    assert source_of_link(found) == "10.20.1.77"
    assert 'address = "10.20.1.77/24"' in found.sm.run("config", "show").stdout
    expect(tile(page, "office")).to_contain_text("In use", timeout=STAY_MS)
    expect(tile(page, "office")).to_contain_text("Reaches the GateManager", timeout=STAY_MS)


def test_address_comes_from_the_sites_dhcp_server_and_from_another_one_after_the_cable_was_moved(
    found: Unit, page: Page
) -> None:
    assert found.sm.process is not None
    server = site_server(found, "10.20.1.150")
    card = settings(page, "office")
    card.locator("select[name=origin]").select_option("dhcp")
    card.get_by_role("button", name="Try this").click()
    keep(page)
    wait_until(lambda: addresses(found) == {"10.20.1.2/24", "10.20.1.150/24"}, PATIENT_S, "the leased address")
    wait_until(lambda: source_of_link(found) == "10.20.1.150", PATIENT_S, "the link from the leased address")
    expect(tile(page, "office")).to_contain_text("from the site's DHCP server", timeout=STAY_MS)
    expect(tile(page, "office")).to_contain_text("Name servers10.20.1.1", timeout=STAY_MS)
    page.goto(f"{URL}/gatemanager")
    page.get_by_label("Addresses").fill(NAME)
    page.get_by_role("button", name="Try this").click()
    keep(page)
    server.wait_for_line(rf"query\[A\] {NAME} from 10\.20\.1\.", PATIENT_S)
    page.goto(f"{URL}/uplinks")
    server.kill9()
    said = len(found.sm.process.lines)
    cable = found.lab.line("factory-site")
    cable.unplug()
    expect(tile(page, "office")).to_contain_text("No cable", timeout=STAY_MS)
    site_server(found, "10.20.1.151")
    cable.plug()
    found.sm.process.wait_for_line(r"DHCP on eth0: 10\.20\.1\.151/24, gateway 10\.20\.1\.1", PATIENT_S, after=said)
    wait_until(lambda: addresses(found) == {"10.20.1.2/24", "10.20.1.151/24"}, PATIENT_S, "the other address")
    wait_until(lambda: source_of_link(found) == "10.20.1.151", PATIENT_S, "the link from the other address")


def site_server(found: Unit, address: str) -> Process:
    """The site's DHCP server, which gives out this address alone, and its name server, which knows the GateManager."""
    factory = found.lab.factory
    options = {
        "conf-file": "/dev/null",
        "user": "root",
        "interface": "lan0",
        "dhcp-range": f"{address},{address},255.255.255.0,120",
        "dhcp-option": "option:router,10.20.1.1",
        "dhcp-leasefile": str(found.lab.run_directory / f"leases-{address}"),
        "pid-file": "",
        "address": f"/{NAME}/203.0.113.10",
        "log-facility": "-",
    }
    switches = ("--keep-in-foreground", "--bind-interfaces", "--no-resolv", "--no-hosts", "--no-ping", "--log-queries")
    argv = ["dnsmasq", *switches, *(f"--{key}={value}" for key, value in options.items())]
    server = factory.start(argv, name="dnsmasq", env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    wait_until(lambda: ":67 " in factory.run(["ss", "-Hlun"]).stdout, PATIENT_S, "the DHCP server")
    return server


def test_second_way_out_is_added_put_first_and_removed(found: Unit, page: Page) -> None:
    lab = found.lab
    lab.site.run(
        ["ip", "link", "add", "eth2", "type", "veth", "peer", "name", "to-site2", "netns", f"{lab.prefix}-internet"]
    )
    lab.internet.run(["ip", "address", "add", "198.51.100.129/30", "dev", "to-site2"])
    lab.internet.run(["ip", "link", "set", "to-site2", "up"])
    card = settings(page, "eth2")
    card.get_by_label("Name", exact=False).first.fill("reserve")
    give(card, "198.51.100.130/30", "198.51.100.129")
    keep(page)
    expect(tile(page, "reserve")).to_contain_text("In reserve", timeout=STAY_MS)
    expect(tile(page, "reserve")).to_contain_text("Reaches the GateManager", timeout=STAY_MS)
    page.get_by_role("button", name="Move it up").click()
    expect(page.get_by_text("the order of entries")).to_be_visible(timeout=STAY_MS)
    keep(page)
    shown = found.sm.run("config", "show").stdout
    assert shown.index('name = "reserve"') < shown.index('name = "office"')
    expect(tile(page, "office")).to_contain_text("In use", timeout=STAY_MS)
    page.once("dialog", lambda dialog: dialog.accept())
    card = page.locator("section.card").filter(has=page.get_by_role("heading", name="reserve"))
    card.get_by_role("button", name="Remove it").click()
    keep(page)
    wait_until(lambda: addresses(found, "eth2") == set(), PATIENT_S, "its address to go")


def test_address_goes_back_by_itself_when_nobody_keeps_it(found: Unit, page: Page) -> None:
    """In a site where the new address leads nowhere; the page is reached, and nobody presses the button."""
    sm = found.sm
    assert sm.process is not None
    # A page that refreshes itself complains, rightly, when a new run of the daemon does not know it.
    page.goto("data:text/html,")
    sm.process.terminate()
    sm.process.wait(PATIENT_S)
    sm.run("config", "set", "uplinks", "[]")
    found.start_daemon(trial_s=SHORT_TRIAL_S)
    wait_until_connected(found, 0)
    assert addresses(found) == {"10.20.1.2/24"}, "what the run before gave is taken away"
    page.goto(f"{URL}/login")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="press")).to_be_visible(timeout=STAY_MS)
    said = len(sm.process.lines)
    give(settings(page, "eth0"), "10.20.1.99/24", "10.20.1.250")
    sm.process.wait_for_line("a change is on trial", PATIENT_S, after=said)
    sm.process.wait_for_line("the change was undone: nobody kept it", PATIENT_S, after=said)
    wait_until(lambda: addresses(found) == {"10.20.1.2/24"}, PATIENT_S, "the old state")
    wait_until(lambda: source_of_link(found) == "10.20.1.2", PATIENT_S, "the link as it was")
    assert (
        "67"
        not in sm.place.run(["sh", "-c", "ip rule | grep lookup | grep -v -e local -e main -e default || true"]).stdout
    )
    page.goto(f"{URL}/uplinks")
    expect(page.get_by_role("status")).to_contain_text("The change was undone")
    assert "uplinks" not in sm.run("config", "show").stdout
