"""The engine's scripts on a sandbox, as the controller would send them; and an independent picture."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stormdesk.core.fault import Fault, Site
from stormdesk.core.inventory import VERSION, Inventory, InventoryHost, Link, ServiceEntry
from stormdesk.core.model import Completed, HostFacts
from stormdesk.core.plan import Plan
from stormdesk.core.safety import MAX_FAULTS
from stormdesk.host import probe, render
from stormdesk.host.probe import HostRecord, HostStatus
from stormdesk.host.scripts import host_scripts
from stormdesk.run.prepare import completed
from tests.cases.planning import changed
from tests.shell.sandbox import SHELLS, Sandbox

HOST = InventoryHost(
    name="sandbox",
    role="trader",
    address="10.9.0.1",
    host_key="ssh-ed25519 AAAA",
    identity_file="/none",
    networks={"market": Link(interface="eth1", address="10.9.1.2/24", address6="fd99::2/64")},
    services={"trader": ServiceEntry(user="nobody", manager="supervisor")},
    paths={"data": "/var/lib/trading"},
)
INVENTORY = Inventory(version=VERSION, environment="sandbox", hosts={"sandbox": HOST})

# Everything a fault may touch, in the test's own words. What the kernel settles by itself is waited for by `same`.
_PICTURE = """
ip -o link show | sed 's/^/link /'
ip -o addr show | sed 's/\\\\.*//; s/ tentative//; s/^/addr /' | sort
for family in 4 6; do
  ip -$family route show table all | grep -v '^local .* kernel' | sort | sed "s/^/route$family /"
  ip -$family rule show | sed "s/^/rule$family /"
done
tc qdisc show | sed 's/ direct_packets_stat [0-9]*//; s/^/qdisc /'
command -v iptables-save >/dev/null && { iptables-save; ip6tables-save; } | grep -v '^#' | sed 's/^/netfilter /'
sort /proc/self/mounts | sed 's/^/mount /'
folders='/etc /var/lib/trading /var/lib/stormdesk'
find $folders /run -xdev ! -type d -printf 'file %p %m %U %G %s %i %l\\n' 2>/dev/null | grep -v /run/supervisor | sort
find $folders /run -xdev -type f -print0 2>/dev/null | xargs -0r sha256sum | grep -v /run/supervisor | sed 's/^/sum /' | sort
find $folders /run/stormdesk -xdev -type d -printf 'folder %p %m %U %G\\n' 2>/dev/null | sort
df -Pk /var/lib/trading | sed '1d; s/^/space /'
ps axww -o pid,args | grep '[s]tormdesk' | grep -v '^ *1 ' | sed 's/^/process /'
:
"""


def uptime_s() -> float:
    """Seconds since boot, here and in every sandbox."""
    return float(Path("/proc/uptime").read_text().split()[0])


def picture(sandbox: Sandbox) -> list[str]:
    """The host as it is now."""
    return sandbox.sh(_PICTURE).splitlines()


def same(before: list[str], sandbox: Sandbox, within_s: float = 3.0) -> None:
    """Fail unless the host is as it was; what takes a moment (a watchdog that ends, a link coming up) gets that moment."""
    until = time.monotonic() + within_s
    while (now := picture(sandbox)) != before and time.monotonic() < until:
        time.sleep(0.1)
    gone = [f"- {line}" for line in before if line not in now]
    diff = [*gone, *(f"+ {line}" for line in now if line not in before)]
    assert not diff, "not as before:\n" + "\n".join(diff)


@dataclass
class Rig:
    """One run on one sandbox."""

    sandbox: Sandbox
    run_id: str = "r-20261121-0312-k3f9"
    host: InventoryHost = HOST
    scripts: Mapping[str, str] = field(default_factory=host_scripts)
    counts: int = 10  # --counts: the percentage of a long run that is asked for

    known: HostFacts | None = None  # as read for the last plan

    def facts(self, fault: Fault, hold_s: float = 5.0) -> HostFacts:
        probes = fault.probes(self.site(hold_s))
        done = self.sandbox.script(render.facts(self.scripts, probes, (*fault.needs, *fault.may_use)))
        assert done.ok, done.stderr
        return probe.facts("sandbox", done.stdout, probes)

    def site(self, hold_s: float = 5.0) -> Site:
        return Site(self.run_id, self.host, INVENTORY, hold_s)

    def plan(self, fault: Fault, ttl_s: float = 20.0) -> Plan:
        """The fault's plan for the host as it is now. `ttl_s` may be shorter than a user could ask for."""
        self.known = self.facts(fault)
        plan = fault.plan(self.known, self.site(), None)
        assert isinstance(plan, Plan), plan
        return changed(completed(plan, self.site()), ttl_s=ttl_s)

    def arm(self, plan: Plan, *, inject: bool = True, no_boot_hook: bool = False) -> Completed:
        return self.sandbox.script(self.arm_script(plan, inject=inject, no_boot_hook=no_boot_hook))

    def arm_script(
        self,
        plan: Plan,
        *,
        inject: bool = True,
        no_boot_hook: bool = False,
        not_after_s: float | None = None,
        most_faults: int = MAX_FAULTS,
    ) -> str:
        """What arms, and injects; good for a minute by default."""
        assert self.known is not None
        limit = uptime_s() + 60 if not_after_s is None else not_after_s
        return render.arm(
            self.scripts, plan, self.known, inject=inject, allow_no_boot_hook=no_boot_hook, not_after_s=limit,
            most_faults=most_faults,
        )  # fmt: skip

    def inject(self) -> Completed:
        return self.sandbox.script(render.inject(self.scripts, "/run/stormdesk", self.run_id, cuts=False))

    def revert(self, who: str = "controller", patience_s: float = 3.0) -> Completed:
        return self.sandbox.script(render.revert(self.scripts, self.run_id, who, patience_s))

    def clear(self) -> Completed:
        return self.sandbox.script(render.clear(self.scripts, self.run_id))

    def status(self) -> HostStatus:
        return probe.status(self.sandbox.script(render.status(self.scripts)).stdout)

    def record(self) -> HostRecord:
        """The host's record of this run."""
        return next(record for record in self.status().records if record.run_id == self.run_id)

    def state(self) -> str:
        return self.record().state if self.status().records else ""


def states(done: Completed) -> list[str]:
    """The states in the record that a script printed, in order; STEP lines are remarks."""
    return [line.state for record in probe.records(done.stdout) for line in record.lines if line.state != "STEP"]


CONFIRMED = ["INTENT", "ARMED", "ACKED", "INJECTING", "INJECTED", "CONFIRMED"]


@contextmanager
def rig(shell: str = "dash", image: Path | None = None) -> Iterator[Rig]:
    with Sandbox(shell, image) as sandbox:
        yield Rig(sandbox)


repeated: list[str] = []  # what was not run in full
_running: dict[str, Future[None]] = {}
_threads = ThreadPoolExecutor(6)


def beside(act: Callable[[Rig], None]) -> Callable[..., None]:
    """Make a test of `act`, in each shell, which runs beside the others of its module: most of them only wait.

    All that were selected start when the first of them is asked for; each shows its own result.
    """

    @pytest.mark.parametrize("shell", SHELLS)
    def test(shell: str, request: pytest.FixtureRequest) -> None:
        for item in request.session.items:
            alike = getattr(getattr(item, "function", None), "act", None)
            if alike is not None and item.nodeid not in _running and item.path == request.node.path:
                _running[item.nodeid] = _threads.submit(_alone, alike, item)
        _running[request.node.nodeid].result(60)

    test.act = act  # type: ignore[attr-defined]
    test.__name__, test.__doc__, test.__module__ = act.__name__, act.__doc__, act.__module__
    return test


def _alone(act: Callable[[Rig], None], item: pytest.Item) -> None:
    with rig(item.callspec.params["shell"]) as one:  # type: ignore[attr-defined]
        one.counts = item.config.getoption("--counts")
        act(one)
