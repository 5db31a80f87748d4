"""The venue's own faults as faults of a run: `venue.<name>`, planned like those of the catalogue. Pure.

The host of the venue asks its control port; undoing is asking to end it. The venue ends a fault by itself as well, at the
deadline of the host's watchdog, so it is over even when nobody can ask any more.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

import msgspec

from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.core.fault import Example, Fault, Site, Unsupported
from stormdesk.core.inventory import Inventory, InventoryHost
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Plan, Proof, Step, Timing, ttl
from stormdesk.core.values import Hold, Seed
from stormdesk.testnet.venue.faults import FAULTS

SERVICE = "venue"
CURL = ("curl", "-sS", "-m", "3")


@dataclasses.dataclass(frozen=True)
class VenueFault:
    """Any of them; `runnable` makes the class of each, with the parameters that the venue itself declares."""

    name: ClassVar[str]
    title: ClassVar[str]
    undo: ClassVar[str] = "the venue is asked to end it; it ends by itself at its deadline"
    needs: ClassVar[Argv] = ("curl",)
    may_use: ClassVar[Argv] = ()
    may_cut_control: ClassVar[bool] = False

    seed: Seed = dataclasses.field(default=Seed(0), metadata={"help": "of its choices; the same gives the same"})

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:  # noqa: ARG003
        """None: which parameters a stack survives is the storm's own list."""
        return []

    def probes(self, site: Site) -> Mapping[str, Argv]:
        return {"health": (*CURL, "-f", f"{control_url(site.host)}/health")}

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        base, short = control_url(site.host), self.name.removeprefix("venue.")
        if not facts.answers["health"].ok:
            raise RefusedError(f"{site.host.name}: the venue does not answer on {base}. Nothing was changed")
        after_s = ttl(site.hold_s, ttl_s, cuts_control=False)
        params = {f.name: str(getattr(self, f.name)) for f in dataclasses.fields(self) if f.name != "seed"}
        asked = {
            "id": site.run_id, "name": short, "for_s": min(after_s, Hold.HIGH), "seed": int(self.seed), "params": params,
        }  # fmt: skip
        mark, mine = f"/run/.stormdesk-venue-{site.run_id}", f"{base}/faults/{site.run_id}"
        body = msgspec.json.encode(asked).decode()
        detail = ", ".join(f"{key} {value}" for key, value in {**params, "seed": self.seed}.items())
        ask = ("sd_ask_for", mark, *CURL, "-f", "-o", "/dev/null", "-d", body, f"{base}/faults")
        end = ("sd_ask_to_end", mark, *CURL, "-w", " http=%{http_code}", "-X", "DELETE", mine)
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, after_s),
            change=Change(
                mechanism="control port of the venue",
                says=f"ask the venue for {short} ({detail})",
                reverts_what="the venue says that it is over",
                steps=(Step(ask, (end,)),),
                resources=(self.name,),
                files=(mark,),
            ),
            proof=Proof(witness=("sd_witness_hits", *CURL, mine)),
        )


def control_url(host: InventoryHost) -> str:
    """The venue's control port, as its own host reaches it. Raises UsageError for a host without a venue."""
    if SERVICE not in host.services or "mgmt" not in host.networks:
        raise UsageError(
            f"--host {host.name}: it runs no venue. Services: {', '.join(sorted(host.services)) or 'none'}"
        )
    address = host.networks["mgmt"].address.partition("/")[0]
    return f"http://{address}:{host.services[SERVICE].ports['control']}"


def host_of(inventory: Inventory) -> str:
    """The host that runs the venue. Raises UsageError when there is none."""
    for host in inventory.hosts.values():
        if SERVICE in host.services:
            return host.name
    raise UsageError(f"no host of {inventory.environment} runs a venue: its faults are those of the trading stack")


@cache
def runnable(name: str) -> type[Fault]:
    """The fault `venue.<name>` as a run knows it: with the parameters that the venue itself declares."""
    kind = FAULTS[name]
    own: list[tuple[str, Any, Any]] = [
        (f.name, f.type, dataclasses.field(default=f.default, metadata=f.metadata))
        for f in dataclasses.fields(kind)  # type: ignore[arg-type]  # each is a dataclass
    ]
    named = {"name": f"venue.{kind.name}", "title": kind.title, "__doc__": kind.__doc__, "__module__": __name__}
    made: type[VenueFault] = dataclasses.make_dataclass(
        kind.__name__, own, bases=(VenueFault,), namespace=named, frozen=True
    )
    return made


def venue_faults() -> Mapping[str, type[Fault]]:
    """All of them, by the names that runbooks use."""
    return {f"venue.{name}": runnable(name) for name in FAULTS}
