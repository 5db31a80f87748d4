"""Random networks go through the change of adapter-down and its undo, which runs twice at once: they come back fact by fact."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable

import pytest

from stormdesk.core.plan import Plan
from stormdesk.core.shell import plan_script
from stormdesk.faults.net.adapter_down import AdapterDown
from stormdesk.host import library
from tests.shell.networks import LOOK, Picture, network, picture
from tests.shell.rig import Rig, rig
from tests.shell.sandbox import SHELLS

DOWN = AdapterDown(interface="eth1")
SEED = 0
SETTLES_S = 3.0
# Without duplicate-address detection, which would cost seconds each time.
QUICK = "for each in all default; do echo 0 >/proc/sys/net/ipv6/conf/$each/accept_dad; done"
REFUSED = ("is between equal routes of other interfaces", "is no longer reachable through eth1")


def undone(host: Rig, plan: Plan) -> str:
    """What goes down and comes back: the undo twice at once, then again as long as it takes to have no address tentative."""
    lib, verbs = library.of_plan(host.scripts, plan)
    undo = "plan_undo_1 >/dev/null 2>&1"
    return f"{lib}{verbs}{plan_script(plan)}plan_do_1 || exit\n{undo} & {undo}\nwait\nsleep 0.1\n{undo}\n:"


def look(host: Rig) -> Picture:
    return picture(host.sandbox.sh(LOOK))


def settled(host: Rig) -> Picture:
    """The network once it looks the same twice: a link that was just made comes up in its own time."""
    last, until = look(host), time.monotonic() + SETTLES_S
    while last.differences(now := look(host)) and time.monotonic() < until:
        last = now
        time.sleep(0.05)
    return now


def difference(host: Rig, seed: int) -> list[str]:
    """What is not as before, after the network of `seed` went through it; or why it was refused."""
    host.sandbox.sh(network(seed).script)
    before = settled(host)
    plan = DOWN.plan(host.facts(DOWN), host.site(), None)
    if not isinstance(plan, Plan):
        return ["refused", plan.reason]
    host.sandbox.sh(undone(host, plan))
    until = time.monotonic() + SETTLES_S
    while (found := before.differences(look(host))) and time.monotonic() < until:
        time.sleep(0.1)
    return found


def through(shell: str, seeds: range) -> list[str]:
    """Why each of these networks was refused; fails with the seed and the difference at the first that does not come back."""
    refused = []
    with rig(shell) as host:
        host.sandbox.sh(QUICK)
        for seed in seeds:
            found = difference(host, seed)
            if found[:1] == ["refused"]:
                assert any(why in found[1] for why in REFUSED), f"seed {seed}: {found[1]}"
                refused.append(found[1])
            else:
                assert not found, f"{shell}, seed {seed}:\n" + "\n".join([*found, network(seed).script])
    return refused


@pytest.mark.parametrize("shell", SHELLS)
def test_random_networks_come_back(shell: str, repeats: Callable[..., int]) -> None:
    times = repeats(500, 25)
    first = SEED + SHELLS.index(shell) * times
    refused = through(shell, range(first, first + times))
    assert len(refused) < times / 4, f"{len(refused)} of {times} were refused"


def main() -> None:
    """`python -m tests.shell.test_link_generated --count N --seed N`: half in dash, half in busybox ash."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=SEED)
    asked = parser.parse_args()
    began, refused = time.monotonic(), Counter[str]()
    for number, shell in enumerate(SHELLS):
        seeds = range(asked.seed + number, asked.seed + asked.count, len(SHELLS))
        for why in through(shell, seeds):
            refused[next(known for known in REFUSED if known in why)] += 1
    sys.stdout.write(f"{asked.count} networks from seed {asked.seed} in {time.monotonic() - began:.0f} s: ")
    sys.stdout.write(
        f"{asked.count - refused.total()} came back fact by fact, {refused.total()} were refused beforehand\n"
    )
    sys.stdout.writelines(f"  {count} {why}\n" for why, count in refused.most_common())


if __name__ == "__main__":
    main()
