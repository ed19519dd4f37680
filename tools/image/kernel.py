"""The kernel's modules: those that were asked for, with what they depend on, unpacked, and what modprobe reads.

Debian makes ``modules.dep`` at installation, by a program for the other machine. Here it is made from what each module
says of itself (its ``.modinfo`` section).
"""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .exceptions import ImageError

_FIELD: Final = re.compile(rb"(?<=\0)(depends|alias|softdep)=([^\0]*)(?=\0)")


@dataclass(frozen=True, slots=True)
class Module:
    """One module of the package."""

    path: str
    """Below the modules directory, without the ending of its compression."""
    data: bytes
    needs: tuple[str, ...]
    aliases: tuple[str, ...]


class Modules:
    """All modules of one kernel, read as they are asked for."""

    def __init__(self, directory: Path) -> None:
        self.release = directory.name
        self._directory = directory
        self._files = {_name(path.name): path for path in directory.rglob("*.ko*")}
        builtin = (directory / "modules.builtin").read_text().split()
        self._builtin = {_name(Path(path).name) for path in builtin}
        self._known: dict[str, Module] = {}

    def closure(self, names: Iterable[str]) -> list[Module]:
        """Return the modules in an order in which they can be loaded. Raises ImageError for one that is not there."""
        found: dict[str, Module] = {}
        for name in names:
            self._collect(_name(name), found)
        return list(found.values())

    def _collect(self, name: str, found: dict[str, Module]) -> None:
        if name in found or name in self._builtin:
            return
        module = self._module(name)
        for needed in module.needs:
            self._collect(needed, found)
        found[name] = module

    def _module(self, name: str) -> Module:
        if name not in self._known:
            path = self._files.get(name)
            if path is None:
                raise ImageError(f"the kernel {self.release} has no module {name}; correct the list in debian.toml")
            self._known[name] = _read(path, str(path.relative_to(self._directory)))
        return self._known[name]


def _read(path: Path, name: str) -> Module:
    data = path.read_bytes()
    if name.endswith(".xz"):
        data, name = lzma.decompress(data), name.removesuffix(".xz")
    needs: list[str] = []
    aliases: list[str] = []
    for key, value in _FIELD.findall(data):
        text = value.decode()
        if key == b"depends":
            needs += [_name(word) for word in text.split(",") if word]
        elif key == b"alias":
            aliases.append(text)
    return Module(name, data, tuple(needs), tuple(aliases))


def install(modules: Iterable[Module], directory: Path, builtin: Path) -> None:
    """Write modules, ``modules.dep``, ``modules.alias`` and ``modules.builtin``."""
    chosen = {_name(Path(module.path).name): module for module in modules}
    for module in chosen.values():
        path = directory / module.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(module.data)
    order = list(chosen)
    rows = []
    for module in chosen.values():
        # The one that is loaded last comes first, as depmod writes it.
        needed = sorted(_needs(module, chosen), key=order.index, reverse=True)
        rows.append(f"{module.path}: {' '.join(chosen[name].path for name in needed)}".rstrip())
    (directory / "modules.dep").write_text("".join(f"{row}\n" for row in rows))
    aliases = [f"alias {alias} {name}" for name, module in chosen.items() for alias in module.aliases]
    (directory / "modules.alias").write_text("".join(f"{row}\n" for row in aliases))
    (directory / "modules.symbols").write_text("")
    (directory / "modules.builtin").write_bytes(builtin.read_bytes())


def _needs(module: Module, chosen: dict[str, Module]) -> set[str]:
    """Everything that is loaded before a module."""
    found = {name for name in module.needs if name in chosen}
    return found.union(*(_needs(chosen[name], chosen) for name in found))


def _name(text: str) -> str:
    return text.split(".ko", 1)[0].replace("-", "_")
