"""host-reboot: restart a host, as a power cut, a panic or a kernel upgrade would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import LackingError, UsageError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Control, Effects, Plan, Proof, Step, Timing, ttl

SYS_BOOT = 22  # the number of the capability
HOW = {"forced": "at once", "clean": "its services stopped first"}
GONE_S = {"forced": "10", "clean": "90"}


@dataclass(frozen=True)
class HostReboot:
    """The hold must exceed the host's boot time: after the hold the host must answer and its boot hook must have reported. The
    restart is refused on a host that cannot run a boot hook."""

    name: ClassVar[str] = "host-reboot"
    title: ClassVar[str] = "Restart a host"
    undo: ClassVar[str] = "the host boots by itself; its boot hook reports it"
    needs: ClassVar[Argv] = ("reboot",)
    may_use: ClassVar[Argv] = ()
    may_cut_control: ClassVar[bool] = True

    how: str = field(
        default="forced", metadata={"help": "forced, as a power cut, or clean", "grid": ("clean", "forced")}
    )

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:  # noqa: ARG003
        return []  # the host goes away in the middle of a run: tests/e2e/test_reboots.py

    def probes(self, site: Site) -> Mapping[str, Argv]:
        if self.how not in HOW:
            raise UsageError(f"--how {self.how[:40]!r}: must be forced or clean")
        return {"status": ("cat", "/proc/self/status")}

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        rows = (line.split() for line in facts.answers["status"].stdout.splitlines())
        held = [int(row[1], 16) for row in rows if len(row) > 1 and row[0] == "CapEff:"]
        if not held or not held[0] >> SYS_BOOT & 1:
            raise LackingError(
                f"{site.host.name} cannot restart itself: it lacks CAP_SYS_BOOT, as in a container. Nothing was changed"
            )
        services = [(name, 1, 2) for name, service in sorted(site.host.services.items()) if service.manager]
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=True)),
            change=Change(
                mechanism="reboot",
                says=f"restart {site.host.name}, {HOW[self.how]}",
                reverts_what="started again",
                steps=(Step(("sd_reboot", self.how), (("true",),)),),
                resources=("host",),
                persistent=True,  # the host reports through the record that survives
            ),
            control=Control(cuts=True),
            proof=Proof(witness=("sd_witness_reboot", GONE_S[self.how])),
            effects=Effects(restarts=tuple(services), reboots=True),
        )
