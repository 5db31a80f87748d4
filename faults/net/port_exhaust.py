"""port-exhaust: no ephemeral port is left, as on a host whose connections pile up in TIME_WAIT: new connections fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from stormdesk.core.errors import RefusedError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Plan, Proof, Step, Timing, ttl

RANGE, RESERVED = (f"/proc/sys/net/ipv4/ip_local_{name}" for name in ("port_range", "reserved_ports"))
PORT = "61001"  # the one port of the range, and reserved: any would do that no service listens on


@dataclass(frozen=True)
class PortExhaust:
    """The range of ephemeral ports is one port, and that one is reserved; IPv6 has the same range. What is connected stays so."""

    name: ClassVar[str] = "port-exhaust"
    title: ClassVar[str] = "Leave no ephemeral port for new connections"
    undo: ClassVar[str] = (
        "the range of ports and the reserved ports as they were, unless somebody changed them meanwhile"
    )
    needs: ClassVar[Argv] = ("cat", "curl")
    may_use: ClassVar[Argv] = ()
    may_cut_control: ClassVar[bool] = False

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [Example(host, {}, ("cat", RANGE), PORT) for host in inventory.hosts]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        return {
            "range": ("cat", RANGE),
            "reserved": ("cat", RESERVED),
            "writable": ("sd_sysctl_writable", RANGE, RESERVED),
        }

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        before = {RANGE: facts.answers["range"].stdout.strip(), RESERVED: facts.answers["reserved"].stdout.strip()}
        if not facts.answers["range"].ok or not facts.answers["reserved"].ok:
            return Unsupported("the kernel has no net.ipv4.ip_local_reserved_ports")
        if not facts.answers["writable"].ok:
            return Unsupported("its sysctls cannot be written, as in a container with a read-only /proc/sys")
        if before[RANGE].split() == [PORT, PORT]:
            raise RefusedError(f"{site.host.name} has no ephemeral ports already. Nothing was changed")
        ours = {RESERVED: f"{before[RESERVED]},{PORT}".lstrip(","), RANGE: f"{PORT} {PORT}"}
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False)),
            change=Change(
                mechanism="sysctl",
                says=f"ip_local_port_range is {PORT} alone, and reserved",
                reverts_what="the range as it was",
                steps=tuple(
                    Step(("sd_sysctl", path, text), (("sd_sysctl_back", path, text, before[path]),))
                    for path, text in ours.items()
                ),
                resources=("sysctl:ip_local_port_range",),
                rechecks=((("cat", RANGE), before[RANGE]),),
                touches=("sysctl",),
            ),
            proof=Proof(
                baseline=("sd_connects",), witness=("sd_connects_not",), still=("sd_sysctl_is", RANGE, ours[RANGE])
            ),
        )
