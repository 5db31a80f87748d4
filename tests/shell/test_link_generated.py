"""Random networks under adapter-down, with its undo twice at once: they are restored line by line."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from stormdesk.core.plan import Plan
from stormdesk.core.shell import plan_script
from stormdesk.faults.net.adapter_down import AdapterDown
from stormdesk.host import library
from tests.shell.rig import Rig, rig
from tests.shell.sandbox import SHELLS, eventually
from tests.shell.test_link_cases import NETWORK, SETTLED

DOWN = AdapterDown(interface="eth1")
# Without duplicate-address detection, which would cost seconds each time.
FRESH = """
echo 0 >/proc/sys/net/ipv6/conf/all/accept_dad
echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
ip rule flush; ip rule add table main pref 32766; ip rule add table default pref 32767
ip -6 rule flush; ip -6 rule add table main pref 32766
for dev in mv0 br0 eth1 eth2; do ip link del $dev 2>/dev/null; done
for number in 1 2; do
  ip link add eth$number type veth peer name peer$number
  ip link set eth$number up
  ip link set peer$number up
  ip addr add 10.9.$number.2/24 dev eth$number
  ip -6 addr add fd99:$number::2/64 dev eth$number nodad
done
"""


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig(request.param) as one:
        yield one


def network(rng: random.Random) -> str:
    """Commands that set up a network; one that the kernel refuses, as it contradicts another, is left out by the shell."""
    some = rng.choice
    lines = []
    for _ in range(rng.randint(1, 6)):
        dev = some(("eth1", "eth1", "eth2"))
        host = rng.randint(3, 90)
        life = some(("", "", f" valid_lft {rng.randint(500, 900)} preferred_lft {some((0, 400))}"))
        flags = "".join(some(("", f" {flag}")) for flag in ("noprefixroute", f"metric {some((5, 100))}"))
        label = some(("", f" label {dev}:x"))
        lines += [
            f"ip addr add 10.9.{some((1, 1, 2, 5))}.{host}/{some((24, 24, 32))} dev {dev}{life}{flags}{label}",
            f"ip addr add 10.7.0.{host} peer 10.7.1.{host} dev {dev}{flags}",
            f"ip -6 addr add fd99:{some((1, 1, 2, 5))}::{host}/{some((64, 64, 128))} dev {dev} nodad{life}{flags}{some(('', ' home'))}",
        ]
    for _ in range(rng.randint(2, 10)):
        lines += [_route4(rng), _route6(rng)]
    for _ in range(rng.randint(0, 3)):
        number, host = some((1, 1, 2)), rng.randint(100, 120)
        lines += [
            f"ip neigh add 10.9.{number}.{host} lladdr 02:00:00:00:00:{host % 90} dev eth{number} nud permanent",
            f"ip neigh add {some((f'10.9.9.{host}', f'fd99:9::{host}'))} proxy dev eth{number}",
            f"ip neigh add fd99:{number}::{host} lladdr 02:00:00:00:01:{host % 90} dev eth{number}{some(('', ' router'))} nud permanent",
            f"ip {some(('', '-6 '))}rule add {some(('iif', 'oif'))} eth{number} table 77 pref {host}",
        ]
    lines += some(([], ["ip link add mv0 link eth1 type macvlan", "ip addr add 10.8.0.1/24 dev mv0"], ["ip link add br0 type bridge"]))
    return "\n".join(f"{line} 2>/dev/null" for line in lines) + "\n:"


def _more(rng: random.Random) -> str:
    """Attributes of a route that both families know."""
    return "".join(
        f" {word}"
        for word in ("table 77", "metric 7", "proto static", "mtu 1400", "mtu lock 1300", "advmss 1200", "rto_min 50ms", "hoplimit 9",
                     "initcwnd 20", "quickack 1")
        if rng.random() < 0.2
    )  # fmt: skip


def _route4(rng: random.Random) -> str:
    some, more = rng.choice, _more(rng)
    to = f"ip route {some(('append', 'append', 'prepend'))} {some(('default', '10.50.0.0/16', '10.51.0.0/16', '10.9.1.0/24'))}"
    number = some((1, 1, 2))
    via = f"via 10.9.{number}.{rng.randint(200, 203)} dev eth{number}"
    both = " ".join(
        f"nexthop via 10.9.{each}.{rng.randint(200, 203)} dev eth{each} weight {rng.randint(1, 4)}" for each in (1, some((1, 2)))
    )
    extra = some(("", " src 10.9.1.2", " tos 0x10", " realm 5"))
    return some((f"{to} {via}{some(('', ' onlink'))}{more}{extra}", f"{to} dev eth{number}{more}{extra}", f"{to}{more} {both}"))


def _route6(rng: random.Random) -> str:
    some, more = rng.choice, _more(rng)
    to = f"ip -6 route append {some(('default', 'fd50::/64', 'fd51::/64', 'fd52::/64'))}"
    number = some((1, 1, 2))
    expires = some(("", "", f" expires {rng.randint(500, 900)}"))
    gateway = f"via fd99:{number}::{rng.randint(200, 203)} dev eth{number}"
    return some((f"{to} {gateway}{more}{expires}", f"{to} dev eth{number}{more}{expires} pref {some(('low', 'high'))}"))


def undone(host: Rig, plan: Plan) -> str:
    """What goes down and comes back: the undo twice at once, then again as long as it takes to have no address tentative."""
    lib, verbs = library.of_plan(host.scripts, plan)
    undo = "plan_undo_1 >/dev/null 2>&1"
    return f"{lib}{verbs}{plan_script(plan)}plan_do_1 || exit\n{undo} & {undo}\nwait\nsleep 0.1\n{undo}\n:"


def test_random_networks_come_back(host: Rig, repeats: Callable[..., int]) -> None:
    refused = 0
    times = repeats(240, 24)
    for seed in range(times):
        setting = network(random.Random(seed))
        host.sandbox.sh(FRESH + setting)
        eventually(SETTLED, host.sandbox, 5)
        before = host.sandbox.sh(NETWORK).splitlines()
        plan = DOWN.plan(host.facts(DOWN), host.site(), None)
        if not isinstance(plan, Plan):
            refused += 1
            assert "between equal routes" in plan.reason, f"seed {seed}: {plan.reason}"
            continue
        host.sandbox.sh(undone(host, plan))
        eventually(SETTLED, host.sandbox, 5)
        after = host.sandbox.sh(NETWORK).splitlines()
        diff = [f"- {line}" for line in before if line not in after] + [f"+ {line}" for line in after if line not in before]
        assert after == before, f"seed {seed}, differs (or its order does):\n" + "\n".join([*diff, setting])
    assert refused < times / 2, f"{refused} of {times} were refused"
