"""What a person types, and what is meant."""

from __future__ import annotations

import pytest

from gatelink.exceptions import InputError
from lm_client.core.local import ApplianceView, DeviceView
from lm_client.core.names import NotFound, resolve

PLC = DeviceView("d1", "plc", "192.168.50.10", ())
HMI = DeviceView("d2", "hmi", "192.168.50.11", ())
PRESS = ApplianceView("a1", "Acme/Hall 3", "press", True, (PLC, HMI))
SAW = ApplianceView("a2", "Acme/Hall 3", "saw", True, (DeviceView("d3", "plc", "192.168.50.10", ()),))
OTHER_PRESS = ApplianceView("a3", "Acme/Hall 4", "press", False, ())
LOUD_PRESS = ApplianceView("a4", "Acme/Hall 5", "PRESS", False, ())


@pytest.mark.parametrize("text", ["a1", "press", "Acme/Hall 3/press", "PRESS", "acme/hall 3/PRESS"])
def test_appliance_is_found_when_named_in_any_way(text: str) -> None:
    assert resolve(text, [PRESS, SAW]) == (PRESS, "")


@pytest.mark.parametrize("text", ["press/plc", "press/d1", "a1/plc", "Acme/Hall 3/press/plc", "Press/PLC"])
def test_device_is_found_when_named_behind_its_appliance(text: str) -> None:
    assert resolve(text, [PRESS, SAW]) == (PRESS, "d1")


def test_candidates_are_listed_when_ambiguous() -> None:
    with pytest.raises(InputError, match=r"'press' is ambiguous: Acme/Hall 3/press \(id a1\), Acme/Hall 4/press"):
        resolve("press", [PRESS, OTHER_PRESS])
    assert resolve("Acme/Hall 4/press", [PRESS, OTHER_PRESS]).appliance is OTHER_PRESS


def test_exact_spelling_wins_when_only_the_case_differs() -> None:
    assert resolve("PRESS", [PRESS, LOUD_PRESS]).appliance is LOUD_PRESS
    with pytest.raises(InputError, match="ambiguous"):
        resolve("Press", [PRESS, LOUD_PRESS])


@pytest.mark.parametrize("text", ["", "/", "plc", "press/", "press/x", "Hall 3/press", "Acme"])
def test_text_is_refused_when_nothing_answers_to_it(text: str) -> None:
    with pytest.raises(NotFound, match="lm list"):
        resolve(text, [PRESS, SAW])
