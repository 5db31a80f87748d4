"""port-exhaust: new connections fail for lack of ephemeral ports, as on a host whose connections pile up in TIME_WAIT."""

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
PORT = "61001"  # the only port in the range, and reserved: any port on which no service listens


@dataclass(frozen=True)
class PortExhaust:
    """The ephemeral range shrinks to one port, which is reserved; IPv6 shares the range. Established connections stay."""

    name: ClassVar[str] = "port-exhaust"
    title: ClassVar[str] = "Exhaust the ephemeral ports"
    undo: ClassVar[str] = "restores the port range and the reserved ports, unless somebody has changed them since"
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
            raise RefusedError(f"{site.host.name} already has no ephemeral ports. Nothing was changed")
        ours = {RESERVED: f"{before[RESERVED]},{PORT}".lstrip(","), RANGE: f"{PORT} {PORT}"}
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False)),
            change=Change(
                mechanism="sysctl",
                says=f"set ip_local_port_range to {PORT} alone, and reserve it",
                reverts_what="range restored",
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
