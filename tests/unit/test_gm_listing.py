"""Pages of appliances: every one fits a frame, together they are everything that may be reached."""

from __future__ import annotations

from gatelink.frames import encode_frame
from gatelink.messages import ApplianceView, DeviceAccess, Service, encode
from gm_server.access.facts import Facts
from gm_server.access.live import LiveSessions
from gm_server.access.rights import Appliance, Grant
from gm_server.service.listing import MAX_PAGE_BYTES, page
from gm_server.service.peers import Peers


def _appliance(number: int, devices: int) -> Appliance:
    services = (Service("modbus", "tcp", 502, 502),)
    found = tuple(DeviceAccess(f"dev-{number}-{i}", f"device {i}", f"10.0.{i}.1", services) for i in range(devices))
    return Appliance(f"sm-{number:04}", "acme/" + "ü" * 60, f"press {number}", b"certificate", found)


def _read_all(facts: Facts) -> list[ApplianceView]:
    views: list[ApplianceView] = []
    more, pages = True, 0
    while more:
        answer = page(facts, "usr-1", Peers(), LiveSessions(), views[-1].appliance_id if views else "", 7, 100.0)
        assert len(encode_frame(encode(answer))) <= MAX_PAGE_BYTES + 1024
        assert answer.request_id == 7
        views += answer.appliances
        more, pages = answer.more, pages + 1
        assert pages < 1000
    return views


def test_pages_hold_everything_once_when_there_are_many() -> None:
    appliances = {f"sm-{number:04}": _appliance(number, number % 90) for number in range(300)}
    facts = Facts({"usr-1": (Grant(domain="acme/" + "ü" * 60),)}, {}, appliances)
    views = _read_all(facts)
    assert [view.appliance_id for view in views] == [f"sm-{n:04}" for n in range(300) if n % 90]
    assert all(view.devices == appliances[view.appliance_id].devices for view in views)


def test_page_is_empty_when_nothing_is_granted() -> None:
    facts = Facts({"usr-2": (Grant(domain="acme"),)}, {}, {"sm-0001": _appliance(1, 3)})
    assert _read_all(facts) == []
