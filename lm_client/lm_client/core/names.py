"""From what a person types to an appliance and its devices. No I/O.

An appliance answers to its id, its name, and its name behind its domain path (``Acme/Hall 3/press-1``); a device to its
id or name behind any of these (``press-1/plc``). What is spelt exactly wins; else the case does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from gatelink.exceptions import InputError

_SHOWN: Final = 8
_SHOWN_CHARACTERS = 80


class Device(Protocol):
    """What is needed of a device."""

    @property
    def device_id(self) -> str: ...
    @property
    def name(self) -> str: ...


D_co = TypeVar("D_co", bound=Device, covariant=True)


class Appliance(Protocol[D_co]):
    """What is needed of an appliance."""

    @property
    def appliance_id(self) -> str: ...
    @property
    def domain(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def devices(self) -> Sequence[D_co]: ...


A = TypeVar("A", bound=Appliance[Device])


class NotFound(InputError):
    """No appliance or device answers to the name."""


class Target(NamedTuple, Generic[A]):
    """An appliance, and the one device of it that was named; empty for all."""

    appliance: A
    device_id: str


def path_of(appliance: Appliance[Device]) -> str:
    """Return the name behind the domain path."""
    return f"{appliance.domain}/{appliance.name}" if appliance.domain else appliance.name


def resolve(text: str, appliances: Sequence[A]) -> Target[A]:
    """Return what ``text`` names. Raises NotFound, or InputError that lists the candidates."""
    for same in (str.__eq__, _same_letters):
        found = list(_matches(text, appliances, same))
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(sorted(_describe(target) for target in found)[:_SHOWN])
            raise InputError(f"{text[:_SHOWN_CHARACTERS]!r} is ambiguous: {listed}; name one of them in full")
    called = repr(text[:_SHOWN_CHARACTERS])
    raise NotFound(f"nothing that you may reach is called {called}; `lm list` shows what there is")


def _matches(text: str, appliances: Sequence[A], same: Callable[[str, str], bool]) -> Iterator[Target[A]]:
    for appliance in appliances:
        names = {appliance.appliance_id, appliance.name, path_of(appliance)}
        if any(same(text, name) for name in names):
            yield Target(appliance, "")
            continue
        for device in appliance.devices:
            if any(same(text, f"{name}/{last}") for name in names for last in (device.device_id, device.name)):
                yield Target(appliance, device.device_id)


def _describe(target: Target[A]) -> str:
    path = path_of(target.appliance)
    names = [device.name for device in target.appliance.devices if device.device_id == target.device_id]
    return f"{path}/{names[0]}" if names else f"{path} (id {target.appliance.appliance_id})"


def _same_letters(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()
