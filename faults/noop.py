"""noop: the whole protocol without any harm. The template for a fault; see faults/CONTRIBUTING.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from stormdesk.core.errors import RefusedError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Plan, Proof, Step, Timing, ttl


@dataclass(frozen=True)
class Noop:
    """An empty file on the host's tmpfs; the undo removes it."""

    name: ClassVar[str] = "noop"
    title: ClassVar[str] = "Run all steps without any harm"
    undo: ClassVar[str] = "removes one empty file on the host's tmpfs"
    needs: ClassVar[Argv] = ("touch", "ls")
    may_use: ClassVar[Argv] = ()
    may_cut_control: ClassVar[bool] = False

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [Example(host, {}, ("find", "/run", "-name", ".stormdesk-noop-*"), "noop") for host in inventory.hosts]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        return {"run": ("stat", "-f", "-c", "%T", "/run")}

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        if facts.answers["run"].stdout.strip() != "tmpfs":
            raise RefusedError(f"/run on {site.host.name} is not a tmpfs. Nothing was changed")
        mark = f"/run/.stormdesk-noop-{site.run_id}"
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False)),
            change=Change(
                mechanism="a file",
                says=f"touch {mark}",
                reverts_what="removed",
                steps=(Step(("touch", mark), (("rm", "-f", "--", mark),)),),
                resources=("noop",),
                files=(mark,),
            ),
            proof=Proof(baseline=("test", "!", "-e", mark), witness=("ls", mark)),
        )
