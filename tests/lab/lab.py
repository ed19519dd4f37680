"""The lab as a whole: up, down, places and lines by name, and what is added while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from lab import layout, namespaces, rights, running
from lab.building import build
from lab.exceptions import LabError, MissingRights
from lab.firewalls import Firewall, Rules
from lab.layout import PLANT_NETWORK, Layout
from lab.lines import Line
from lab.places import Place
from lab.states import load, save

Found = TypeVar("Found")
_NOTHING = Layout((), ())


class Lab:
    """The layout of real namespaces with one prefix. `with Lab() as lab:` has it up inside and leaves nothing behind.

    At the start it removes what a crashed lab with the same prefix left. Raises MissingRights, LabInUse, LabError.
    """

    def __init__(self, prefix: str | None = None) -> None:
        rights.find_programs()
        self.prefix = running.prefix_in_use(prefix)
        self.places: dict[str, Place] = {}
        self.lines: dict[str, Line] = {}
        self.firewalls: dict[str, Firewall] = {}
        self.run_directory: Path = running.run_directory(self.prefix)
        self._layout = _NOTHING
        self._lock: running.Lock | None = None

    def __enter__(self) -> Lab:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def up(self) -> None:
        """Build everything (about half a second)."""
        rights.check()
        if not rights.is_root():
            raise MissingRights("an ordinary user starts this program with ./lab rights -- PROGRAM ...")
        self._lock = running.Lock(self.prefix)
        try:
            self._remove_everything()
            self.run_directory.mkdir(parents=True)
            self._add(layout.base())
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """End every process in the lab and remove everything. Does nothing if the lab is not up."""
        if self._lock is None:
            return
        try:
            self._remove_everything()
            for place in self.places.values():
                for process in place.processes:
                    process.forget()
            for line in self.lines.values():
                line.forget()
        finally:
            self._lock.release()
            self._lock = None

    @classmethod
    def attach(cls, prefix: str | None = None) -> Lab:
        """The lab that another process has up: for looking at it, changing lines and adding to it. Raises LabError."""
        lab = cls(prefix)
        lab._catch_up()
        if not lab.places:
            raise LabError(f"no lab {lab.prefix!r} is up; start it with ./lab up")
        return lab

    @classmethod
    def clean(cls, prefix: str | None = None) -> list[str]:
        """Remove what a crash left; the namespaces that were found. Raises LabInUse if the lab is up."""
        lab = cls(prefix)
        lab._lock = running.Lock(lab.prefix)
        found = namespaces.existing(lab.prefix)
        lab.down()
        return found

    def __getitem__(self, name: str) -> Place:
        return self.place(name)

    def place(self, name: str) -> Place:
        """A place by name. Raises LabError that lists those there are."""
        return self._find("place", name, self.places)

    def line(self, name: str) -> Line:
        """A line by name, such as `factory-site`. Raises LabError that lists those there are."""
        return self._find("line", name, self.lines)

    def firewall(self, name: str) -> Firewall:
        """A firewall: `office`, `factory`, `factory2`. Raises LabError that lists those there are."""
        return self._find("firewall", name, self.firewalls)

    @property
    def pc(self) -> Place:
        """The engineer's PC, 10.10.1.2."""
        return self.places["pc"]

    @property
    def office(self) -> Place:
        """The office's firewall."""
        return self.places["office"]

    @property
    def internet(self) -> Place:
        """Where the GM is, 203.0.113.10."""
        return self.places["internet"]

    @property
    def factory(self) -> Place:
        """The factory's firewall."""
        return self.places["factory"]

    @property
    def site(self) -> Place:
        """Where the SM is: eth0 10.20.1.2 is its uplink, eth1 192.168.50.1 its plant side."""
        return self.places["site"]

    @property
    def plant(self) -> Place:
        """The plant network, and on it the PLC 192.168.50.10."""
        return self.places["plant"]

    def add_pc(self) -> Place:
        """One more PC on the office LAN: `pc2`, `pc3`, ..."""
        with self._alone():
            return self._add(layout.pc(self._count("pc", upto=200), self._next_line()))[0]

    def add_site(self, plant_network: str = PLANT_NETWORK) -> tuple[Place, Place]:
        """One more site and plant behind a factory of its own, by default with the same addresses as the first."""
        with self._alone():
            number = self._count("site", upto=60)
            _, site, plant = self._add(layout.site(number, self._next_line(), plant_network))
            return site, plant

    def add_host(self, plant: str = "plant") -> Place:
        """One more host on a plant network: `plant-b` with .11, `plant-c` with .12, ..."""
        with self._alone():
            spec = self.place(plant).spec
            if not layout.is_plant(spec):
                raise LabError(f"{plant!r} is no plant network; hosts are added to plant, plant2, ...")
            number = 1 + sum(name.startswith(f"{plant}-") for name in self.places)
            if number > layout.MOST_PLANT_HOSTS:
                raise LabError(f"{plant!r} is full: {layout.MOST_PLANT_HOSTS} hosts beside the PLC")
            return self._add(layout.plant_host(spec, number, self._next_line()))[0]

    @property
    def _layout_path(self) -> Path:
        return self.run_directory / "layout.json"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While something is added: nobody else adds, and what others added from other terminals is known here."""
        with running.alone(self.run_directory):
            self._catch_up()
            yield

    def _add(self, fragment: Layout) -> list[Place]:
        build(self.prefix, fragment)
        self._take_over(fragment)
        for place in fragment.places:
            if place.nat:
                self.firewalls[place.name].set(Rules())
        save(self._layout_path, self._layout)
        return [self.places[place.name] for place in fragment.places]

    def _catch_up(self) -> None:
        found = load(self._layout_path, Layout, _NOTHING)
        self._take_over(
            Layout(
                tuple(place for place in found.places if place.name not in self.places),
                tuple(line for line in found.lines if line.name not in self.lines),
            )
        )

    def _take_over(self, fragment: Layout) -> None:
        self._layout += fragment
        for place in fragment.places:
            self.places[place.name] = Place(self.prefix, place, self.run_directory)
            if place.nat:
                namespace = f"{self.prefix}-{place.name}"
                self.firewalls[place.name] = Firewall(namespace, place.name, self.run_directory)
        for line in fragment.lines:
            self.lines[line.name] = Line(self.prefix, line, self.run_directory)

    def _find(self, kind: str, name: str, known: Mapping[str, Found]) -> Found:
        if name not in known:
            self._catch_up()
        if name not in known:
            raise LabError(f"no {kind} {name!r} in the lab {self.prefix!r}; there are: {', '.join(known)}")
        return known[name]

    def _next_line(self) -> int:
        return 1 + max(line.index for line in self._layout.lines)

    def _count(self, kind: str, upto: int) -> int:
        number = 1 + sum(name.rstrip("0123456789") == kind for name in self.places)
        if number > upto:
            raise LabError(f"the lab {self.prefix!r} is full: {upto} of {kind}")
        return number

    def _remove_everything(self) -> None:
        found = namespaces.existing(self.prefix)
        namespaces.end_inhabitants(found)
        namespaces.delete(found)
        running.remove(self.run_directory)
