"""adapter-flap: an interface keeps going down and up, as with a bad cable or a renegotiating port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import RefusedError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Control, Plan, Proof, Step, Timing, ttl
from stormdesk.core.values import Interval
from stormdesk.faults.net import restoring
from stormdesk.mechanism.interface import beside_control, carries_us, chosen


@dataclass(frozen=True)
class AdapterFlap:
    """Down, up with everything that was on it, down again. It starts down, and stays down while the witness runs."""

    name: ClassVar[str] = "adapter-flap"
    title: ClassVar[str] = "Make a network adapter flap"
    undo: ClassVar[str] = restoring.WHAT
    needs: ClassVar[Argv] = ("ip",)
    may_use: ClassVar[Argv] = ()
    may_cut_control: ClassVar[bool] = False

    network: str = field(default="", metadata={"help": "the host's interface on this network, e.g. market"})
    interface: str = field(default="", metadata={"help": "the interface itself, e.g. eth1"})
    down: Interval = field(
        default=Interval("2s"), metadata={"help": "how long it is down each time, 1s..5m", "grid": ("1s", "2s", "5s")}
    )
    up: Interval = field(
        default=Interval("2s"), metadata={"help": "how long it is up each time, 1s..5m", "grid": ("5s", "2s", "1s")}
    )

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [
            Example(
                host,
                {"network": network, "down": "4s", "up": "1s"},
                ("cat", f"/sys/class/net/{link.interface}/operstate"),
                "down",
            )
            for host, network, link in beside_control(inventory)
        ]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        return restoring.probes(self._interface(site))

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        name = self._interface(site)
        now = restoring.as_it_is(name, facts, site)
        if isinstance(now, Unsupported):
            return now
        if carries_us(name, facts, site):
            raise RefusedError(
                f"{name} on {site.host.name} carries our own connection: use adapter-down, which the host's watchdog ends. "
                "Nothing was changed"
            )
        flap = Step(
            ("sd_flap", name, f"{float(self.down):g}", f"{float(self.up):g}"), (("sd_background_end", "flapper"),)
        )
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False), undo_wait_s=now.wait_s),
            change=Change(
                mechanism="ip link",
                says=f"{name} repeatedly down for {self.down} and up for {self.up}",
                reverts_what=f"link up, {now.count} addresses, routes and neighbours",
                # The helper uses the first step's undo to bring the link up, so that step is separate.
                steps=(Step(("true",), restoring.restore(now)), flap),
                resources=(f"link:{name}",),
                rechecks=((("ip", "-o", "link", "show", "dev", name), facts.answers["link"].stdout.strip()),),
                touches=(*restoring.TOUCHES, "process"),
            ),
            control=Control(),
            proof=Proof(
                baseline=("sd_not_down", name),
                witness=("sd_witness_down", name),
                still=("sd_background_runs", "flapper"),
            ),
        )

    def _interface(self, site: Site) -> str:
        return chosen(self.name, self.network, self.interface, site)
