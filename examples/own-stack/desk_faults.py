"""A fault of this desk: a network that carries small packets only, as after a tunnel was put in its way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.core.model import Argv, HostFacts, Plan, Site, Step, Unsupported, ttl


@dataclass(frozen=True)
class MtuShrink:
    """1280 bytes, the least that IPv6 allows; undo is the MTU that was."""

    name: ClassVar[str] = "mtu-shrink"
    title: ClassVar[str] = "Let only small packets through"
    undo: ClassVar[str] = "the interface's MTU as it was"
    needs: ClassVar[Argv] = ("ip",)
    may_cut_control: ClassVar[bool] = False

    network: str = field(default="orders", metadata={"help": "the host's interface on this network"})

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
            fault=self.name,
            run_id=site.run_id,
            host=site.host.name,
            hold_s=site.hold_s,
            ttl_s=ttl(site.hold_s, ttl_s, cuts_control=False),
            mechanism="ip link",
            says=f"MTU of {name} from {before} to 1280",
            reverts_what=f"MTU {before}",
            resources=(f"link:{name}",),
            steps=(Step((*link, "1280"), ((*link, before),)),),
            witness=("grep", "-x", "1280", f"/sys/class/net/{name}/mtu"),
            touches=("link",),
        )

    def _interface(self, site: Site) -> str:
        if self.network not in site.host.networks:
            raise UsageError(
                f"--network {self.network}: {site.host.name} is on {', '.join(sorted(site.host.networks))}"
            )
        return site.host.networks[self.network].interface


FAULTS = {"mtu-shrink": MtuShrink}
