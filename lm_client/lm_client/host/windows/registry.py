"""HKEY_LOCAL_MACHINE, as far as the service reads and writes it. Windows only; errors are HostError."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Protocol

from lm_client.exceptions import HostError


class Registry(Protocol):
    """What is needed of HKEY_LOCAL_MACHINE."""

    def values(self, key: str) -> dict[str, str]:
        """Return the texts of a key by name; empty if it is not there."""

    def subkeys(self, key: str) -> list[str]:
        """Return the names of the keys below; empty if it is not there."""

    def write(self, key: str, values: Mapping[str, int | str | list[str]]) -> None:
        """Make a key with exactly these values: int is REG_DWORD, str REG_SZ, a list REG_MULTI_SZ."""

    def delete(self, key: str) -> bool:
        """Remove a key; return whether it was there."""


class LocalMachine:
    """By the module ``winreg``; ``module`` is for tests."""

    def __init__(self, module: Any = None) -> None:
        self._winreg = module or importlib.import_module("winreg")

    def values(self, key: str) -> dict[str, str]:
        """Return the texts of a key."""
        winreg, found = self._winreg, {}
        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as opened:
                for index in range(winreg.QueryInfoKey(opened)[1]):
                    name, value, _kind = winreg.EnumValue(opened, index)
                    if isinstance(value, str):
                        found[name] = value
        except OSError:  # of some adapters the class has keys that nobody may read
            return {}
        return found

    def subkeys(self, key: str) -> list[str]:
        """Return the names of the keys below."""
        winreg = self._winreg
        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as opened:
                return [winreg.EnumKey(opened, index) for index in range(winreg.QueryInfoKey(opened)[0])]
        except OSError:
            return []

    def write(self, key: str, values: Mapping[str, int | str | list[str]]) -> None:
        """Make a key."""
        winreg = self._winreg
        self.delete(key)
        try:
            with winreg.CreateKeyEx(winreg.HKEY_LOCAL_MACHINE, key, 0, winreg.KEY_WRITE) as opened:
                for name, value in values.items():
                    kind = winreg.REG_DWORD if isinstance(value, int) else winreg.REG_SZ
                    winreg.SetValueEx(opened, name, 0, winreg.REG_MULTI_SZ if isinstance(value, list) else kind, value)
        except OSError as error:
            raise HostError(f"cannot write the registry's key {key}: {error.strerror}") from None

    def delete(self, key: str) -> bool:
        """Remove a key without keys below it."""
        try:
            self._winreg.DeleteKey(self._winreg.HKEY_LOCAL_MACHINE, key)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise HostError(f"cannot remove the registry's key {key}: {error.strerror}") from None
        return True
