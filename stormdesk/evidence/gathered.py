"""The sources of evidence for checks: live hosts or a recorded cut. Each source is read once, on first use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from stormdesk.core import shell
from stormdesk.core.errors import HostError, StormdeskError
from stormdesk.core.inventory import Inventory
from stormdesk.evidence import take_cut
from stormdesk.evidence.cut import Cut
from stormdesk.evidence.steady import Vitals
from stormdesk.evidence.take_cut import NO_RUN, RunFacts
from stormdesk.evidence.vitals import gather
from stormdesk.host.scripts import probe
from stormdesk.ssh.parallel import Run, each

if TYPE_CHECKING:
    from testinfra.host import Host


T = TypeVar("T")


@dataclass(frozen=True)
class Evidence:
    """Hosts to ask (`run`, `hosts`), or a recorded `folder`. `facts` is what a run knows besides."""

    folder: Path
    inventory: Inventory | None = None
    run: Run | None = None
    hosts: Mapping[str, Host] | None = None
    facts: RunFacts = NO_RUN
    own: Sequence[Path] = ()  # folders with a project's own checks

    @cached_property
    def cut(self) -> Cut:
        """Recorded, or taken now."""
        if self.inventory is None or self.run is None:
            return take_cut.load(self.folder)
        return take_cut.take(self.run, self.inventory, self.folder, self.facts)

    @cached_property
    def residue(self) -> Cut:
        """What is left on hosts. Asked alone it needs no consistent cut, so trading goes on."""
        if self.inventory is None or self.run is None or "cut" in self.__dict__:
            return self.cut
        return take_cut.residue_only(self.run, self.inventory, self.facts)

    @cached_property
    def vitals(self) -> Mapping[str, Vitals]:
        """What all hosts say of themselves."""
        return gather(self.run, self.inventory) if self.inventory and self.run else {}

    @cached_property
    def services(self) -> Mapping[str, Mapping[str, bool] | StormdeskError]:
        """By host: which of its services run, asked of the manager that the inventory names."""
        return each(self.hosts or {}, lambda name: _answered(name, "its managed services", self._managed))

    @cached_property
    def sockets(self) -> Mapping[str, Sequence[str] | StormdeskError]:
        """By host: what is listened on, as testinfra names it: `tcp://0.0.0.0:8000`."""
        return each(self.hosts or {}, lambda name: _answered(name, "what is listened on", self._listening))

    def _managed(self, name: str) -> dict[str, bool]:
        assert self.inventory is not None
        assert self.hosts is not None
        entries = self.inventory.hosts[name].services.items()
        names = {
            manager: [n for n, entry in entries if entry.manager == manager] for manager in ("supervisor", "systemd")
        }
        host: Any = self.hosts[name]  # testinfra does not say what its modules can do
        return _by_supervisor(host, names["supervisor"]) | _by_systemd(host, names["systemd"])

    def _listening(self, name: str) -> list[str]:
        assert self.inventory is not None
        assert self.hosts is not None
        if not any(entry.ports for entry in self.inventory.hosts[name].services.values()):
            return []
        host: Any = self.hosts[name]  # testinfra does not say what its modules can do
        return list(host.socket.get_listening_sockets())


def _by_supervisor(host: Any, names: Sequence[str]) -> dict[str, bool]:
    if not names:
        return {}
    done = host.run(shell.words(probe("supervised")))
    if done.rc == 0:
        running = {line.removesuffix(" RUNNING") for line in done.stdout.splitlines() if line.endswith(" RUNNING")}
        return {n: n in running for n in names}
    try:
        states = {service.name: service.is_running for service in host.supervisor.get_services()}
    except AssertionError:  # supervisorctl status fails when only one of them is not running
        return {n: host.supervisor(n).is_running for n in names}
    return {n: states.get(n, False) for n in names}


def _by_systemd(host: Any, names: Sequence[str]) -> dict[str, bool]:
    """One question for all units: testinfra's own asks for each, and first looks what the init is."""
    if not names:
        return {}
    said = host.run(f"systemctl is-active -- {shell.words(tuple(names))}").stdout.split()
    if len(said) != len(names):
        raise ValueError(f"systemctl names the states of {len(said)} units, asked were {len(names)}")
    return {name: state == "active" for name, state in zip(names, said, strict=True)}


def _answered(name: str, what: str, ask: Callable[[str], T]) -> T:
    """What testinfra says of a host. HostError where it has no tool for that, or one whose output is another."""
    try:
        return ask(name)
    except (AssertionError, RuntimeError, ValueError) as error:
        why = "a command failed" if isinstance(error, AssertionError) else str(error)
        raise HostError(in_one_line(f"{name}: {what} cannot be read: {why}")) from error


def in_one_line(text: str) -> str:
    """At most 300 characters, as the reason of a verdict."""
    return " ".join(text.split())[:300]
