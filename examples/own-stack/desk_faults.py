"""A fault of this desk: a network that carries small packets only, as after a tunnel was put in its way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Plan, Proof, Step, Timing, ttl


@dataclass(frozen=True)
class MtuShrink:
    """1280 bytes, the least that IPv6 allows; undo is the MTU that was."""

    name: ClassVar[str] = "mtu-shrink"
    title: ClassVar[str] = "Let only small packets through"
    undo: ClassVar[str] = "the interface's MTU as it was"
    needs: ClassVar[Argv] = ("ip",)
    may_use: ClassVar[Argv] = ()
    may_cut_control: ClassVar[bool] = False

    network: str = field(default="orders", metadata={"help": "the host's interface on this network"})

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [
            Example(host.name, {}, ("cat", f"/sys/class/net/{host.networks['orders'].interface}/mtu"), "^1280$")
            for host in inventory.hosts.values()
            if "orders" in host.networks
        ]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        return {"mtu": ("cat", f"/sys/class/net/{self._interface(site)}/mtu")}

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        name, before = self._interface(site), facts.answers["mtu"].stdout.strip()
        if not before.isdigit() or int(before) <= 1280:
            raise RefusedError(
                f"the MTU of {name} on {site.host.name} is {before or 'unknown'} already. Nothing was changed"
            )
        link = ("ip", "link", "set", "dev", name, "mtu")
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False)),
            change=Change(
                mechanism="ip link",
                says=f"MTU of {name} from {before} to 1280",
                reverts_what=f"MTU {before}",
                steps=(Step((*link, "1280"), ((*link, before),)),),
                resources=(f"link:{name}",),
                touches=("link",),
            ),
            proof=Proof(witness=("grep", "-x", "1280", f"/sys/class/net/{name}/mtu")),
        )

    def _interface(self, site: Site) -> str:
        if self.network not in site.host.networks:
            raise UsageError(
                f"--network {self.network}: {site.host.name} is on {', '.join(sorted(site.host.networks))}"
            )
        return site.host.networks[self.network].interface


FAULTS = {"mtu-shrink": MtuShrink}
