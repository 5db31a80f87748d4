"""net-latency: packets arrive late, as over a congested or a much longer link."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import UsageError
from stormdesk.core.fault import Site, Unsupported
from stormdesk.core.model import HostFacts
from stormdesk.core.packets import Delay, Distribution
from stormdesk.core.plan import Plan
from stormdesk.core.values import Percent
from stormdesk.faults.net.impairing import MECHANISM, Impairing
from stormdesk.mechanism.impairment import Impairment
from stormdesk.witness.round_trip import pings


@dataclass(frozen=True)
class NetLatency(Impairing):
    """Delay with jitter."""

    name: ClassVar[str] = "net-latency"
    title: ClassVar[str] = "Delay packets"

    delay: Delay = field(
        default=Delay("100ms"), metadata={"help": "the delay, 100us..60s", "grid": ("10ms", "100ms", "1s")}
    )
    jitter: Delay | None = field(default=None, metadata={"help": "the variation, plus or minus", "kind": Delay})
    correlation: Percent | None = field(
        default=None, metadata={"help": "the correlation of successive delays, with --jitter", "kind": Percent}
    )
    distribution: Distribution = field(
        default=Distribution("uniform"), metadata={"help": "of the jitter: uniform or normal"}
    )
    mechanism: str = field(default="", metadata=MECHANISM)

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        if self.jitter is None and (self.correlation is not None or self.distribution != "uniform"):
            raise UsageError("--correlation and --distribution need --jitter")
        jitter = float(self.jitter or 0)
        if jitter > float(self.delay):
            raise UsageError(f"--jitter {self.jitter}: must be at most the delay, {self.delay}")
        impairment = Impairment(float(self.delay), jitter, float(self.correlation or 0), str(self.distribution))
        says = f"delay packets by {self.delay}" + (f" ± {self.jitter}" if self.jitter else "")
        return self.impaired(
            facts, site, ttl_s, impairment, says, self.mechanism, (pings(), "round-trip", float(self.delay) * 1000)
        )
